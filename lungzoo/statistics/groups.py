"""Groups of arms that cannot be told apart, as compact letters, and the data of a critical-difference diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.statistics.cases import TooFew

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Ranks:
    """A critical-difference diagram as data.

    Args:
        average: (arms,) mean rank over patients, 1 is the highest value.
        statistic: Friedman's χ² with arms − 1 degrees of freedom, corrected for ties.
        p: its probability where all arms rank alike; NaN where every patient ties all arms.
        cliques: arms that a bar connects, each in order of rank, best first.
        patients: number of blocks.
    """

    average: np.ndarray
    statistic: float
    p: float
    cliques: tuple[tuple[int, ...], ...]
    patients: int


def cliques(different: np.ndarray, order: np.ndarray | None = None) -> tuple[tuple[int, ...], ...]:
    """Cover the arms by groups within which no two differ; any two that do not differ share a group.

    Args:
        different: (arms, arms) symmetric, True where the corrected test tells two arms apart.
        order: (arms,) the order to work in, such as that of the table; as numbered where None.

    Returns:
        Groups in the order of their first members. An arm that differs from all others is a group of its own.

    Source: Gramm et al. 2007, doi:10.1016/j.csda.2006.09.035: letters are a cover of the edges by cliques; the
    smallest cover is hard to find, this one grows each group from a pair that is not yet covered.
    """
    count = len(different)
    order = np.arange(count) if order is None else order
    alike = np.array(np.asarray(different)[np.ix_(order, order)] == 0)
    np.fill_diagonal(alike, True)
    times = np.zeros(alike.shape, dtype=np.int64)
    found = []
    for first in range(count):
        # The furthest first: where a group is a stretch of the table, this finds it whole.
        for second in range(count - 1, first - 1, -1):
            if alike[first, second] and not times[first, second]:
                members = _grown(alike, times == 0, [first, second])
                times[np.ix_(members, members)] += 1
                found.append(members)
    kept = _needed(found, times)
    return tuple(tuple(int(order[place]) for place in members) for members in sorted(kept))


def _grown(alike: np.ndarray, uncovered: np.ndarray, start: list[int]) -> list[int]:
    """Add the arm that is like all members and has most uncovered pairs with them, until there is none."""
    members = sorted(set(start))
    candidates: np.ndarray = np.all(alike[members], axis=0)
    candidates[members] = False
    while candidates.any():
        gains = np.where(candidates, uncovered[members].sum(axis=0), -1)
        arm = int(np.argmax(gains))
        members.append(arm)
        candidates &= alike[arm]
        candidates[arm] = False
    return sorted(members)


def _needed(found: list[list[int]], times: np.ndarray) -> list[list[int]]:
    """Drop the groups all of whose pairs are in others, the smallest first."""
    kept = list(found)
    for members in sorted(found, key=len):
        if np.all(times[np.ix_(members, members)] > 1):
            times[np.ix_(members, members)] -= 1
            kept.remove(members)
    return kept


def letters(different: np.ndarray, order: np.ndarray | None = None) -> tuple[str, ...]:
    """Give each arm letters such that two arms share one exactly if no test tells them apart.

    Args:
        different, order: as for `cliques`; letters are dealt in this order.

    Returns:
        One text per arm, in the arms' own numbering, such as ("a", "ab", "b"). After z and Z come a2, b2, …

    Source: Piepho 2004, doi:10.1198/1061860043515.
    """
    marks = [""] * len(different)
    for number, members in enumerate(cliques(different, order)):
        turn, place = divmod(number, len(ALPHABET))
        mark = ALPHABET[place] + (str(turn + 1) if turn else "")
        for arm in members:
            marks[arm] += mark
    return tuple(marks)


def friedman(values: np.ndarray, different: np.ndarray) -> Ranks:
    """Rank the arms within each patient, test whether all rank alike, and connect those that no pair's test separates.

    Args:
        values: (arms, patients) a patient's mean over slices and seeds; higher is better.
        different: (arms, arms), True where the Holm-corrected Wilcoxon test tells two arms apart.

    Raises:
        TooFew: fewer than two arms or two patients.

    Source: Friedman 1937, doi:10.1080/01621459.1937.10503522; Demšar 2006, JMLR 7, 1–30; Benavoli, Corani & Mangili
    2016, JMLR 17(5), 1–10 (pairs by Wilcoxon and Holm, not by mean ranks as in Nemenyi's test).
    """
    from scipy.stats import chi2, rankdata

    arms, patients = values.shape
    if arms < 2 or patients < 2:
        raise TooFew(f"Ranks need two arms and two patients. Received: {arms} arm(s), {patients} patient(s).")
    # Sums of the same numbers in another order differ in their last digits; that is no difference in rank.
    ranks = rankdata(-np.round(values, 12), axis=0)
    average = ranks.mean(axis=1)
    spread = ((ranks - (arms + 1) / 2) ** 2).sum() / (arms - 1)
    statistic = patients**2 * ((average - (arms + 1) / 2) ** 2).sum() / spread if spread > 0 else float("nan")
    p = float(chi2.sf(statistic, arms - 1)) if spread > 0 else float("nan")
    return Ranks(average, float(statistic), p, cliques(different, np.argsort(average, kind="stable")), patients)
