"""Which arm of one side meets which of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.suites.compare.comparable import Incomparable, check_comparable, check_complete, why_incomplete
from lungzoo.suites.compare.sides import Side
from lungzoo.suites.report.results import ArmResults


@dataclass(frozen=True, eq=False)
class Pair:
    """Two arms that may be compared."""

    first: ArmResults
    second: ArmResults


@dataclass(frozen=True)
class Pairs:
    """What there is to compare.

    Args:
        first, second: the two sides.
        pairs: one or more.
        notes: what is in one side alone, or was left out, in words.
    """

    first: Side
    second: Side
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    @property
    def firsts(self) -> tuple[ArmResults, ...]:
        """Arms of the first side, each once."""
        return tuple({pair.first.arm: pair.first for pair in self.pairs}.values())

    @property
    def seconds(self) -> tuple[ArmResults, ...]:
        """Arms of the second side, each once."""
        return tuple({pair.second.arm: pair.second for pair in self.pairs}.values())

    @property
    def places(self) -> np.ndarray:
        """(pairs, 2) where the arms of each pair are in `firsts` followed by `seconds`."""
        firsts, seconds = ([arm.arm for arm in arms] for arms in (self.firsts, self.seconds))
        return np.array(
            [(firsts.index(pair.first.arm), len(firsts) + seconds.index(pair.second.arm)) for pair in self.pairs]
        )

    def values(self, metric: str) -> list[np.ndarray]:
        """Return (seeds, cases) of `firsts` and then `seconds`, cases in the order of the first side."""
        mine, theirs = self.first.results, self.second.results
        order = theirs.cases.index.get_indexer(mine.cases.index)
        others = [theirs.values(arm, metric)[:, order] for arm in self.seconds]
        return [*(mine.values(arm, metric) for arm in self.firsts), *others]

    def bystanders(self, metric: str) -> list[np.ndarray]:
        """Return (seeds, cases) of the other arms of both suites, which tell how far seeds vary, as in the report.

        Left out are those whose runs are not all finished, those of one seed, and those that say other cases.
        """
        mine, theirs = self.first.results, self.second.results
        order = theirs.cases.index.get_indexer(mine.cases.index)
        taken = {run.fingerprint for arm in (*self.firsts, *self.seconds) for run in arm.runs}
        known = ~np.isnan(self.values(metric)[0][0])
        found = []
        for results, columns in ((mine, np.arange(len(order))), (theirs, order)):
            for arm in results.comparable:
                if taken & {run.fingerprint for run in arm.runs}:
                    continue
                taken |= {run.fingerprint for run in arm.runs}
                values = results.values(arm, metric)[:, columns]
                if len(values) > 1 and (~np.isnan(values) == known).all():
                    found.append(values)
        return found


def pair_up(first: Side, second: Side) -> Pairs:
    """Pair arms: two suites by the arms' names, a suite with a single arm each with that one.

    Raises:
        Incomparable: nothing is left to compare, or a pair differs in what must be alike.
    """
    met = _by_name(first, second) if first.whole and second.whole else _each(first, second)
    notes = _alone(first, second) if first.whole and second.whole else []
    if not met:
        raise Incomparable(f"{first.name} and {second.name} have no arm in common. {' '.join(notes)}")
    apart = [pair for pair in met if not _shared(pair)]
    if not apart:
        raise Incomparable(
            f"{first.name} and {second.name} are the same run(s), or one holds the other: there is no difference to "
            "ask about. Name two runs, arms or suites that were trained apart."
        )
    for pair in apart:
        check_comparable(first, pair.first, second, pair.second)
    notes += [f"Not compared: '{pair.first.arm}', which both sides hold." for pair in met if _shared(pair)]
    kept = _complete(first, second, apart, notes)
    return Pairs(first, second, kept, tuple(notes))


def _by_name(first: Side, second: Side) -> list[Pair]:
    others = {arm.arm: arm for arm in second.arms}
    return [Pair(arm, others[arm.arm]) for arm in first.arms if arm.arm in others]


def _each(first: Side, second: Side) -> list[Pair]:
    return [Pair(one, other) for one in first.arms for other in second.arms]


def _alone(first: Side, second: Side) -> list[str]:
    notes = []
    for side, other in ((first, second), (second, first)):
        known = {arm.arm for arm in other.arms}
        if names := [arm.arm for arm in side.arms if arm.arm not in known]:
            notes.append(f"Only in {side.name}: {'; '.join(names)}.")
    return notes


def _shared(pair: Pair) -> bool:
    """Two runs of one fingerprint may be two trainings; those that also started together are one."""
    first, second = (
        {(record.fingerprint, record.started) for record in arm.records} for arm in (pair.first, pair.second)
    )
    return bool(first & second)


def _complete(first: Side, second: Side, pairs: list[Pair], notes: list[str]) -> tuple[Pair, ...]:
    """Leave out arms of suites that are not whole; of a pair that was named, say why."""
    kept = [pair for pair in pairs if pair.first.complete and pair.second.complete]
    if len(pairs) == 1 or not kept:
        check_complete(first, pairs[0].first)
        check_complete(second, pairs[0].second)
    for pair in pairs:
        if pair not in kept:
            side, arm = (first, pair.first) if not pair.first.complete else (second, pair.second)
            notes.append(f"Not compared: '{arm.arm}' of {side.name} ({arm.status}): {why_incomplete(arm)}")
    return tuple(kept)
