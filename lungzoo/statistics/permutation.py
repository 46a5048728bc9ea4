"""Tests of paired differences by flipping signs: on the differences (permutation), on their signed ranks (Wilcoxon).

If two arms are alike, the difference of each patient could as well have had the other sign. All 2^n signs are tried
where n is small. Otherwise random signs answer, and where they are too few to say how small the probability is, a
saddlepoint approximation of the same distribution does: correction over thousands of pairs asks for probabilities that
no affordable number of draws can resolve.
"""

from __future__ import annotations

import numpy as np

EXACT_PATIENTS = 12
RESOLVED_HITS = 50


def sign_flip_p(differences: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Two-sided probability of a sum at least as far from 0 when signs are exchangeable.

    Args:
        differences: (pairs, patients); zeros do not count.
        draws: random signs where a row has more than 12 patients that differ.
        seed: of the random signs.

    Returns:
        (pairs,) in (0, 1]; 1 where nothing differs.

    Source: Fisher 1935, The Design of Experiments, section 21; Phipson & Smyth 2010, doi:10.2202/1544-6115.1585 (the
    observed signs count as a draw).
    """
    # The distribution depends on the sizes alone; sorted, the answer does not depend on the order of patients.
    sizes = -np.sort(-np.abs(differences), axis=1)
    sums = np.abs(differences.sum(axis=1))
    counted = np.count_nonzero(sizes, axis=1)
    p = np.ones(len(sizes))
    for number in np.unique(counted[(counted > 0) & (counted <= EXACT_PATIENTS)]):
        rows = counted == number
        p[rows] = _exact(sizes[rows, :number], sums[rows])
    many = counted > EXACT_PATIENTS
    if many.any():
        p[many] = _drawn(sizes[many], sums[many], draws, seed)
    return p


def signed_ranks(differences: np.ndarray) -> np.ndarray:
    """Ranks of the sizes that are not 0, with the signs of the differences; tied sizes share their mean rank.

    Args:
        differences: (pairs, patients).

    Source: Wilcoxon 1945, doi:10.2307/3001968.
    """
    from scipy.stats import rankdata

    zeros = np.count_nonzero(differences == 0, axis=1)[:, None]
    ranks: np.ndarray = np.sign(differences) * (rankdata(np.abs(differences), axis=1) - zeros)
    return ranks


def holm(p: np.ndarray) -> np.ndarray:
    """Correct probabilities so that any false claim among all of them has at most the nominal rate.

    Args:
        p: (tests,) probabilities.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 65–70.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def smallest_p(patients: int) -> float:
    """Return the smallest probability that sign flips of so many patients can give: 2/2^n."""
    return float(2.0 ** (1 - patients)) if patients else 1.0


def _exact(sizes: np.ndarray, sums: np.ndarray) -> np.ndarray:
    number = sizes.shape[1]
    signs = 1.0 - 2.0 * _subsets(number)
    tolerance = 1e-9 * sizes.sum(axis=1)
    hits = [
        np.count_nonzero(np.abs(row @ signs.T) >= total - slack)
        for row, total, slack in zip(sizes, sums, tolerance, strict=True)
    ]
    return np.array(hits) / 2**number


def _drawn(sizes: np.ndarray, sums: np.ndarray, draws: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scaled = (sizes / sizes[:, :1]).astype(np.float32)
    limits = (sums / sizes[:, 0] - 1e-5 * scaled.sum(axis=1)).astype(np.float32)[:, None]
    hits = np.zeros(len(sizes), dtype=np.int64)
    for start in range(0, draws, 1000):
        number = min(1000, draws - start)
        signs = rng.integers(0, 2, (scaled.shape[1], number), dtype=np.int8).astype(np.float32) * 2 - 1
        hits += np.count_nonzero(np.abs(scaled @ signs) >= limits, axis=1)
    p = (1 + hits) / (1 + draws)
    rare = hits < RESOLVED_HITS
    if rare.any():
        p[rare] = _rare(sizes[rare], sums[rare])
    return p


def _rare(sizes: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Count the ways exactly where few patients could have the other sign, and approximate elsewhere."""
    p = saddlepoint_p(sizes, sums)
    budgets = (sizes.sum(axis=1) * (1 + 1e-9) - sums) / 2
    for row in np.flatnonzero(((sizes > 0) & (sizes <= budgets[:, None])).sum(axis=1) <= EXACT_PATIENTS):
        counted = sizes[row][sizes[row] > 0]
        free = counted[counted <= budgets[row]]
        ways = np.count_nonzero(_subsets(len(free)) @ free <= budgets[row])
        p[row] = min(1.0, ways * 2.0 ** (1 - len(counted)))
    return p


def _subsets(number: int) -> np.ndarray:
    return ((np.arange(2**number)[:, None] >> np.arange(number)) & 1).astype(np.float64)


def saddlepoint_p(sizes: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Approximate the two-sided tail of a sum of sizes with random signs, for sums far from 0.

    Args:
        sizes: (pairs, patients), 0 or more.
        sums: (pairs,) observed, 0 or more.

    Source: Robinson 1982, doi:10.1111/j.2517-6161.1982.tb01191.x; Lugannani & Rice 1980, doi:10.2307/1426607.
    """
    from scipy.stats import norm

    scale = sizes.max(axis=1, keepdims=True)
    a, total = sizes / scale, sums / scale[:, 0]
    least = 2.0 ** (1 - np.count_nonzero(a, axis=1).astype(float))
    inside = np.minimum(total, (1 - 1e-9) * a.sum(axis=1))
    tilt = _tilt(a, inside)
    at = tilt[:, None] * a
    cumulant = (np.logaddexp(at, -at) - np.log(2)).sum(axis=1)
    root = np.sqrt(np.maximum(2 * (tilt * inside - cumulant), 1e-300))
    spread = tilt * np.sqrt((a**2 / np.cosh(np.minimum(at, 300)) ** 2).sum(axis=1))
    near = root < 0.1
    safe_root, safe_spread = np.where(near, 1, root), np.where(near, 1, np.maximum(spread, 1e-300))
    tail = norm.sf(safe_root) + norm.pdf(safe_root) * (1 / safe_spread - 1 / safe_root)
    normal = norm.sf(total / np.sqrt((a**2).sum(axis=1)))
    return np.clip(2 * np.where(near, normal, tail), least, 1.0)


def _tilt(a: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Solve Σ a·tanh(t·a) = total. The left side is concave, so Newton's steps from 0 never pass the root."""
    tilt = np.zeros(len(a))
    for _ in range(100):
        tanh = np.tanh(tilt[:, None] * a)
        step = (total - (a * tanh).sum(axis=1)) / np.maximum((a**2 * (1 - tanh**2)).sum(axis=1), 1e-12)
        tilt += np.maximum(step, 0)
        if np.all(step <= 1e-9 * (1 + tilt)):
            break
    return tilt
