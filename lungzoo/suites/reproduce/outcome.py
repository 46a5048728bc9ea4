"""Whether a run came out the same the second time, and what differed around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lungzoo.evaluation.score import counted
from lungzoo.metrics.contract import METRICS
from lungzoo.suites.plain import plain
from lungzoo.suites.report.numbers import number, with_interval
from lungzoo.suites.reproduce.original import PRIMARY, Original
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.shown import flatten

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["same", "within", "outside", "undecided", "other cases"]


@dataclass(frozen=True)
class Change:
    """Something that is not as it was recorded."""

    what: str
    recorded: str
    now: str


@dataclass(frozen=True)
class Outcome:
    """What the second run gave.

    Args:
        title: the run.
        original_id, run_id: of the first and the second run.
        verdict: "same": scores and weights agree bit for bit; "within" or "outside" the interval that was recorded for
            the primary metric; "undecided" where none was recorded; "other cases" where others were scored.
        same_scores, same_weights: which of the two agree bit for bit.
        cases: that were scored.
        recorded: {mean, low, high} of the primary metric.
        now: its mean now.
        mean_difference, largest_difference: of it per case, now minus recorded; NaN without a case in common.
        changes: of machine, packages, code and initial weights.
    """

    title: str
    original_id: str
    run_id: str
    verdict: Verdict
    same_scores: bool
    same_weights: bool
    cases: int
    recorded: dict[str, float]
    now: float
    mean_difference: float
    largest_difference: float
    changes: tuple[Change, ...]

    @property
    def reproduced(self) -> bool:
        """Whether the result is the same, or within what was said of it."""
        return self.verdict in ("same", "within")


def outcome_of(original: Original, run_id: str, record: RunRecord, cases: pd.DataFrame, sha256: str) -> Outcome:
    """Compare a run with the one it repeats.

    Args:
        original: what was recorded.
        run_id, record: of the new run.
        cases: its per-case results, by case.
        sha256: of its weights.
    """
    same_scores, same_weights = _same(original.cases, cases), sha256 == original.weights_sha256
    differences = _differences(original.cases, cases)
    recorded = {key: float(original.record.metrics[PRIMARY][key]) for key in ("mean", "low", "high")}
    now = float(record.metrics[PRIMARY]["mean"])
    return Outcome(
        title=original.title,
        original_id=original.run_id,
        run_id=run_id,
        verdict=_verdict(same_scores and same_weights, original.cases.index.equals(cases.index), recorded, now),
        same_scores=same_scores,
        same_weights=same_weights,
        cases=len(cases),
        recorded=recorded,
        now=now,
        mean_difference=float(differences.mean()) if len(differences) else math.nan,
        largest_difference=float(np.abs(differences).max()) if len(differences) else math.nan,
        changes=_changes(original.record, record),
    )


def in_words(outcome: Outcome) -> tuple[str, ...]:
    """Return what came out, and what differed, one sentence a line."""
    return (_result(outcome), *_evidence(outcome), *_around(outcome))


def _same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Compare the columns that both have: later versions may score more."""
    both = [name for name in old.columns if name in new.columns]
    return old[both].equals(new[both])


def _differences(old: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    common = old.index.intersection(new.index)
    old, new = old.loc[common], new.loc[common]
    kept = counted(old, METRICS.get(PRIMARY)).to_numpy()
    apart = (new[PRIMARY] - old[PRIMARY]).to_numpy(float)[kept]
    return apart[~np.isnan(apart)]


def _verdict(same: bool, same_cases: bool, recorded: dict[str, float], now: float) -> Verdict:
    if same:
        return "same"
    if not same_cases:
        return "other cases"
    if not all(map(math.isfinite, (recorded["low"], recorded["high"], now))):
        return "undecided"
    return "within" if recorded["low"] <= now <= recorded["high"] else "outside"


def _changes(old: RunRecord, new: RunRecord) -> tuple[Change, ...]:
    """List what differs in the environment, and in what makes two runs one."""
    first, second = dict(flatten(old.environment)), dict(flatten(new.environment))
    first |= {"version of the metrics": old.metrics_version, "run fingerprint": old.fingerprint}
    second |= {"version of the metrics": new.metrics_version, "run fingerprint": new.fingerprint}
    names = dict.fromkeys([*first, *second])
    return tuple(
        Change(name, str(first.get(name, "not recorded")), str(second.get(name, "not there")))
        for name in names
        if first.get(name) != second.get(name)
    )


def _result(outcome: Outcome) -> str:
    digits = METRICS.get(PRIMARY).digits
    recorded, now = with_interval(outcome.recorded, digits), number(outcome.now, digits)
    title = METRICS.get(PRIMARY).title
    return {
        "same": f"The same, bit for bit: the scores of all {outcome.cases} cases and the weights.",
        "within": f"Not bit for bit, but within what was recorded: {title} {now}, recorded {recorded}.",
        "outside": f"Not the same: {title} {now} is outside what was recorded, {recorded}.",
        "undecided": f"Not the same, and no interval was recorded to judge it by: {title} {now}, recorded {recorded}.",
        "other cases": f"Not the same: other cases were scored than those that were recorded. {title} {now}, "
        f"recorded {recorded}.",
    }[outcome.verdict]


def _evidence(outcome: Outcome) -> list[str]:
    if outcome.verdict == "same":
        return []
    same = [name for name, is_so in (("scores", outcome.same_scores), ("weights", outcome.same_weights)) if is_so]
    equal = f" The {same[0]} agree bit for bit." if same else ""
    return [
        f"Per case, {METRICS.get(PRIMARY).title} differs by {outcome.mean_difference:+.2g} on average and by "
        f"{outcome.largest_difference:.2g} at most.{equal}"
    ]


def _around(outcome: Outcome) -> list[str]:
    if not outcome.changes:
        odd = "" if outcome.verdict == "same" else " With train.deterministic, a CPU then gives the same bits."
        return [f"Machine, packages and code are those that were recorded.{odd}"]
    lines = [f"  {change.what}: {_short(change.recorded)} → {_short(change.now)}" for change in outcome.changes]
    told = ["Differs from what was recorded:", *lines]
    if any(change.what == "run fingerprint" for change in outcome.changes):
        told.append("Another fingerprint: since then lungzoo computes other results, or has other settings.")
    return told


def _short(value: str) -> str:
    """Shorten hashes; a commit keeps its "+changes"."""
    digits, plus, rest = value.partition("+")
    return f"{digits[:12]}…{plus}{rest}" if len(digits) >= 40 and digits.isalnum() else value


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return plain values for JSON; None where there is no number."""
    values = {
        **vars(outcome),
        "reproduced": outcome.reproduced,
        "changes": [vars(change) for change in outcome.changes],
    }
    return dict(plain(values))
