"""Every pair of arms compared on the same patients: difference, interval, tests, correction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lungzoo.statistics.bootstrap import FEW_PATIENTS, check_settings, studentised
from lungzoo.statistics.cases import Arms, PatientSums, TooFew, check_same_cases, patient_sums
from lungzoo.statistics.groups import Ranks, friedman, letters
from lungzoo.statistics.permutation import holm, sign_flip_p, signed_ranks, smallest_p
from lungzoo.statistics.spread import Spread, pooled, seed_part, spread_of


@dataclass(frozen=True)
class Comparison:
    """What the test set says about every pair of arms; arrays have one entry per pair.

    Args:
        first, second: numbers of the two arms; first < second.
        difference: mean of the first minus mean of the second, over seeds and cases.
        low, high: its interval, not corrected for the number of pairs.
        p, p_holm: permutation test of the difference; corrected over all pairs.
        p_wilcoxon, p_wilcoxon_holm: Wilcoxon signed-rank test of patients' means; corrected over all pairs.
        over_seeds: True where both arms have two seeds or more: interval and tests then speak of other seeds too, and
            elsewhere only of these trained networks.
        spread: squared standard errors of the differences.
        different: (arms, arms), True where p_holm is at most 1 − level.
        letters: (arms,) two arms share a letter exactly if they are not `different`.
        ranks: Friedman test, mean ranks and cliques by p_wilcoxon_holm.
        seeds: (arms,) seeds of each arm.
        cases, patients: how many have a value.
        level: of the intervals; 1 − level is the rate of false claims that the correction keeps.
        notes: sentences that belong under the table.
    """

    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray
    p_wilcoxon: np.ndarray
    p_wilcoxon_holm: np.ndarray
    over_seeds: np.ndarray
    spread: Spread
    different: np.ndarray
    letters: tuple[str, ...]
    ranks: Ranks
    seeds: np.ndarray
    cases: int
    patients: int
    level: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Patients:
    """Per arm and patient: sums over cases of seed means; per patient: numbers of cases."""

    totals: np.ndarray
    sizes: np.ndarray


def compare(
    values: Arms,
    patients: np.ndarray,
    folds: np.ndarray | None = None,
    *,
    draws: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    higher_is_better: bool = True,
    order: np.ndarray | None = None,
) -> Comparison:
    """Compare every pair of arms.

    The null hypothesis of `p` is that the arms have the same mean. A pair is only told apart where two tests agree:
    sign flips of patients' sums (which ask whether other patients could explain the difference) and, with two seeds or
    more, a test whose standard error holds seeds too. `p` is the larger of the two, `p_wilcoxon` likewise with signed
    ranks.

    Args:
        values: per arm (seeds, cases), or an array (arms, seeds, cases); NaN where a case says nothing, and then for
            every arm and seed. Arms may differ in their number of seeds.
        patients: (cases,) patient of each case.
        folds: (cases,) fold that tests each case, where every seed was trained once per fold.
        draws: bootstrap samples and random signs.
        seed: of both.
        level: of the intervals; claims are made at 1 − level.
        higher_is_better: False for errors and distances; turns the ranks round.
        order: (arms,) arms in the order of the table, for the letters; best mean first where None.

    Raises:
        DifferentCases: arms or seeds have values for different cases.
        TooFew: fewer than two arms, or fewer than two patients with a value.
        UsageError: values that do not fit.

    Source: `sign_flip_p`, `holm`, `Spread.seed_widening`; Demšar 2006, JMLR 7, 1–30.
    """
    check_settings(draws, level)
    sums = patient_sums(values, patients, folds)
    check_same_cases(values)
    table = _table(sums)
    first, second = (np.array(side) for side in zip(*combinations(range(len(table.totals)), 2), strict=True))
    sums_apart = _without_noise(table.totals[first] - table.totals[second], table.totals)
    difference = sums_apart.sum(axis=1) / table.sizes.sum()
    centred = sums_apart - difference[:, None] * table.sizes
    below, above, error = studentised(centred, table.sizes, draws, seed, level)
    spread = _spread(sums, first, second, error)
    alpha = 1 - level
    widening = spread.seed_widening(np.array(alpha / 2))
    by_seeds = np.where(spread.over_seeds, spread.p(difference), 0.0)
    p = np.maximum(sign_flip_p(sums_apart, draws, seed), by_seeds)
    p_wilcoxon = np.maximum(sign_flip_p(signed_ranks(sums_apart / table.sizes), draws, seed), by_seeds)
    p_holm, p_wilcoxon_holm = holm(p), holm(p_wilcoxon)
    means = table.totals / table.sizes
    sign = 1.0 if higher_is_better else -1.0
    different = _matrix(first, second, p_holm <= alpha, len(means))
    best_first = np.argsort(-sign * table.totals.sum(axis=1), kind="stable")
    return Comparison(
        first=first,
        second=second,
        difference=difference,
        low=difference - np.sqrt(below**2 + widening),
        high=difference + np.sqrt(above**2 + widening),
        p=p,
        p_holm=p_holm,
        p_wilcoxon=p_wilcoxon,
        p_wilcoxon_holm=p_wilcoxon_holm,
        over_seeds=spread.over_seeds,
        spread=spread,
        different=different,
        letters=letters(different, best_first if order is None else order),
        ranks=friedman(sign * means, _matrix(first, second, p_wilcoxon_holm <= alpha, len(means))),
        seeds=sums.seeds,
        cases=int(table.sizes.sum()),
        patients=len(table.sizes),
        level=level,
        notes=_notes(sums.seeds, len(table.sizes), len(first), alpha),
    )


def _table(sums: PatientSums) -> _Patients:
    sizes = sums.counts[0][0]
    counted = sizes > 0
    if len(sums.totals) < 2:
        raise TooFew("A comparison needs two arms. Received: 1. Ask for `intervals` of a single arm.")
    if np.count_nonzero(counted) < 2:
        raise TooFew(
            "Arms are compared patient by patient, so there must be several. Received: "
            f"{np.count_nonzero(counted)} patient(s) with a value. "
            "Allowed: 2 or more; fewer than 6 cannot show a difference at 5%."
        )
    return _Patients(np.stack([total.mean(axis=0)[counted] for total in sums.totals]), sizes[counted])


def _without_noise(differences: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Equal sums of different rounding are equal: sign flips and ranks must not read their last digits."""
    return np.where(np.abs(differences) <= 1e-12 * np.abs(totals).max(), 0.0, differences)


def _spread(sums: PatientSums, first: np.ndarray, second: np.ndarray, error: np.ndarray) -> Spread:
    parts = [seed_part(*arm, sums.fold) for arm in zip(sums.totals, sums.counts, strict=True)]
    df = np.full(len(first), np.count_nonzero(sums.counts[0][0]) - 1.0)
    both = [[parts[one], parts[other]] for one, other in zip(first, second, strict=True)]
    return spread_of(error**2, df, both, pooled([parts[arm] for arm in _distinct(sums)]))


def _distinct(sums: PatientSums) -> list[int]:
    """Return the first arm of each set of equal ones: the same networks told twice are no further evidence."""
    found: dict[tuple[bytes, bytes], int] = {}
    for number, (totals, counts) in enumerate(zip(sums.totals, sums.counts, strict=True)):
        found.setdefault((totals.tobytes(), counts.tobytes()), number)
    return list(found.values())


def _matrix(first: np.ndarray, second: np.ndarray, different: np.ndarray, arms: int) -> np.ndarray:
    matrix = np.zeros((arms, arms), dtype=bool)
    matrix[first, second] = matrix[second, first] = different
    return matrix


def _notes(seeds: np.ndarray, patients: int, pairs: int, alpha: float) -> tuple[str, ...]:
    notes = []
    single = np.flatnonzero(seeds < 2)
    if len(single):
        notes.append(
            f"{len(single)} of {len(seeds)} arm(s) were trained with one seed: what is said of their differences holds "
            "for these trained networks, and may be seed noise."
        )
    least = smallest_p(patients)
    if least <= alpha < least * pairs:  # what cannot show one pair's difference is said by `resolution`
        notes.append(
            f"{patients} patients cannot show any difference among so many arms: the smallest corrected p of {pairs} "
            f"pairs is {min(least * pairs, 1.0):.2g}, above {alpha:.2g}."
        )
    if patients < FEW_PATIENTS:
        notes.append(f"Only {patients} patients: intervals of so few cover less often than they say.")
    if np.unique(seeds).size > 1:
        notes.append(f"Arms have between {seeds.min()} and {seeds.max()} seeds; each counts with its own.")
    return tuple(notes)
