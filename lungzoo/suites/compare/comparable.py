"""What has to be alike before two figures mean the same thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lungzoo.config import DataConfig
from lungzoo.errors import UsageError
from lungzoo.suites.compare.sides import Side
from lungzoo.suites.report.results import ArmResults
from lungzoo.tracking.record import RunRecord

_NEXT = {
    "dataset": "Run one of them again on the dataset of the other: --data DIR",
    "split": "Run one of them again with the split of the other, the split.json among its artifacts: data.split_file",
    "metrics version": "Run what is older again: it is then scored by this lungzoo",
    "score": "Run one of them again with the [score] settings of the other",
    "cases": "Run one of them again with the [data] settings of the other",
}
# Settings that decide which slices are tested, or what counts as lesion in them.
_OF_CASES = ("consensus_readers", "disputed", "max_slices_per_volume")


class Incomparable(UsageError):
    """Two arms whose figures do not mean the same, or of which one has none."""


@dataclass(frozen=True)
class Fact:
    """Something that must be alike and is not.

    Args:
        kind: what to do about it; a key of the next steps.
        what: its name.
        first, second: its two values.
    """

    kind: str
    what: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.what} ({self.first} and {self.second})"


def check_comparable(first: Side, one: ArmResults, second: Side, other: ArmResults) -> None:
    """Refuse a pair of arms that were not trained and scored on the same footing.

    What must be alike: dataset, split (of every fold), version of the metrics, score.shift_px, score.min_lesion_px,
    test cases, and the lesion's area in each. What may differ is what an arm is made of: its network and training, the
    window and the grid of its input, and its threshold, which belongs to it as its weights do.

    Raises:
        Incomparable: naming all that differs, with both values.
    """
    facts = [*_of_records(one, other), *_of_scores(one, other)]
    if not facts and one.complete and other.complete:
        facts = _of_cases(first, one, second, other)
    if facts:
        kinds = {fact.kind: fact for fact in facts}
        if "dataset" in kinds:
            kinds.pop("split", None)  # a split is of a dataset
        steps = [_NEXT[kind] for kind in kinds]
        raise Incomparable(
            f"'{one.arm}' of {first.name} and '{other.arm}' of {second.name} cannot be compared, because these differ: "
            f"{'; '.join(map(str, facts))}. {'. '.join(steps)}."
        )


def check_complete(side: Side, arm: ArmResults) -> None:
    """Refuse an arm of which runs are missing: those that are there may be the better ones.

    Raises:
        Incomparable: saying what became of it.
    """
    if not arm.complete:
        raise Incomparable(
            f"'{arm.arm}' of {side.name} cannot be compared ({arm.status}): {why_incomplete(arm)} Only arms whose runs "
            "are all finished are compared."
        )


def why_incomplete(arm: ArmResults) -> str:
    """Say why runs of an arm are missing or, where they are not yet run, what to do."""
    return f"{(arm.reason or 'Run the suite to its end').rstrip('.')}."


def _of_records(one: ArmResults, other: ArmResults) -> list[Fact]:
    found = [
        Fact("dataset", "dataset fingerprint", *_both(one, other, lambda record: record.dataset["fingerprint"][:12])),
        Fact("metrics version", "version of the metrics", *_both(one, other, lambda record: record.metrics_version)),
    ]
    return [fact for fact in found if fact.first != fact.second] + _of_splits(one, other)


def _both(one: ArmResults, other: ArmResults, value: Callable[[RunRecord], object]) -> tuple[str, str]:
    """Return what the records of two arms say; an arm without a scored run says what the other does."""
    first, second = (" and ".join(sorted({str(value(record)) for record in _scored(arm)})) for arm in (one, other))
    return first or second, second or first


def _of_splits(one: ArmResults, other: ArmResults) -> list[Fact]:
    """Compare fold by fold; the first that differs is named."""
    first, second = ({record.fold: _split(record) for record in _scored(arm)} for arm in (one, other))
    if not first or not second:
        return []
    for fold in sorted({*first, *second}, key=lambda fold: -1 if fold is None else fold):
        values = first.get(fold, "none"), second.get(fold, "none")
        if values[0] != values[1]:
            name = "split fingerprint" if fold is None else f"split fingerprint of fold {fold}"
            return [Fact("split", name, *values)]
    return []


def _split(record: RunRecord) -> str:
    return str(record.split["fingerprint"])[:12]


def _scored(arm: ArmResults) -> list[RunRecord]:
    """Records of runs that were scored, also where their cases are gone or of another version of the metrics."""
    return [record for record in arm.records if record.counts]


def _of_scores(one: ArmResults, other: ArmResults) -> list[Fact]:
    return [
        Fact("score", f"score.{key}", str(first), str(second))
        for key in ("shift_px", "min_lesion_px")
        if (first := getattr(one.config.score, key)) != (second := getattr(other.config.score, key))
    ]


def _of_cases(first: Side, one: ArmResults, second: Side, other: ArmResults) -> list[Fact]:
    mine, theirs = first.results.cases, second.results.cases
    apart = mine.index.symmetric_difference(theirs.index)
    because = _settings_apart(one.config.data, other.config.data)
    if len(apart):
        what = f"test cases: {len(apart)} are in one alone, such as {apart[0]}{because}"
        return [Fact("cases", what, f"{len(mine)} cases", f"{len(theirs)}")]
    areas = theirs["reference_px"].reindex(mine.index)
    moved = mine.index[(mine["reference_px"] != areas).to_numpy()]
    if len(moved):
        what = f"lesion's area in {len(moved)} test cases, such as {moved[0]}{because}"
        return [Fact("cases", what, f"{mine['reference_px'][moved[0]]} px", f"{areas[moved[0]]} px")]
    return []


def _settings_apart(one: DataConfig, other: DataConfig) -> str:
    apart = [
        f"; data.{key} is {getattr(one, key)} and {getattr(other, key)}"
        for key in _OF_CASES
        if getattr(one, key) != getattr(other, key)
    ]
    return "".join(apart)
