"""What each step gains over the plain pass on test cases, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.tuning.kept import Choice, Kept
from lungzoo.inference.tuning.scores import CaseScores, mean_of, score
from lungzoo.statistics.cases import TooFew
from lungzoo.statistics.paired import compare
from lungzoo.statistics.permutation import holm

PLAIN = "plain pass"


@dataclass(frozen=True)
class Row:
    """What is compared.

    Args:
        name: for people.
        member: whose answers; None takes the mean of all.
        choice: threshold and steps.
    """

    name: str
    member: int | None
    choice: Choice


@dataclass(frozen=True)
class Difference:
    """Of one figure, a step minus its baseline; NaN where it cannot be told.

    Args:
        mean: of the step.
        difference: of the means.
        low, high: its 95% interval, patients resampled.
        p: paired test.
        p_holm: corrected over the steps.
        cases, patients: that it rests on.
    """

    mean: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    cases: int
    patients: int


@dataclass(frozen=True)
class Gain:
    """What a step does on test cases.

    Args:
        row: the step.
        baseline: what it is compared with.
        dice: over cases with a lesion.
        marked: share of the cases without a lesion where anything is predicted.
    """

    row: Row
    baseline: str
    dice: Difference
    marked: Difference


def measure_gains(kept: Sequence[Kept], held: HeldOut, rows: Sequence[Row], members: int) -> list[Gain]:
    """Score steps on test cases and compare each with the first.

    Args:
        kept: of the test cases.
        held: the cases.
        rows: the plain pass, then the steps.
        members: how many models there are; of several, the plain mean of all is also compared with the mean score of
            the members by themselves.
    """
    draws = held.score.bootstrap_draws
    scores = [score(kept, held, row.member, row.choice) for row in rows]
    found = [
        _gain(row, PLAIN, [each], [scores[0]], held.patients, draws) for row, each in zip(rows, scores, strict=True)
    ]
    if members > 1:
        singles = [score(kept, held, member, rows[0].choice) for member in range(members)]
        mean = Row(f"mean of {members} models", None, rows[0].choice)
        together = score(kept, held, None, rows[0].choice)
        found.append(_gain(mean, "a member by itself, on average", [together], singles, held.patients, draws))
    return [found[0], *_corrected(found[1:])]


def _gain(
    row: Row,
    baseline: str,
    scores: list[CaseScores],
    others: list[CaseScores],
    patients: np.ndarray,
    draws: int,
) -> Gain:
    figures = (
        _difference([getattr(each, name) for each in scores], [getattr(each, name) for each in others], patients, draws)
        for name in ("dice", "marked")
    )
    return Gain(row, baseline, *figures)


def _difference(values: list[np.ndarray], others: list[np.ndarray], patients: np.ndarray, draws: int) -> Difference:
    first, second = np.stack(values), np.stack(others)
    known = ~np.isnan(first[0])
    counts = int(known.sum()), len(set(patients[known]))
    mean = mean_of(first.ravel())
    apart = mean - mean_of(second.ravel())
    if known.any() and np.array_equal(np.broadcast_to(first[:1, known], second[:, known].shape), second[:, known]):
        return Difference(mean, 0.0, 0.0, 0.0, 1.0, 1.0, *counts)
    try:
        found = compare([first, second], patients, draws=draws)
    except TooFew:
        return Difference(mean, apart, *(float("nan"),) * 4, *counts)
    low, high = (float(np.clip(end[0], -1, 1)) for end in (found.low, found.high))  # of shares, as both figures are
    p = float(found.p[0])
    return Difference(mean, float(found.difference[0]), low, high, p, p, *counts)


def _corrected(gains: list[Gain]) -> list[Gain]:
    """Correct p over the steps, each figure by itself; those that change nothing at all are no tests.

    Their p is 1 whatever signs the permutation draws, so that leaving them out keeps the rate of false claims.
    Source: Tarone 1990, A modified Bonferroni method for discrete data, Biometrics 46(2):515-522.
    """
    for name in ("dice", "marked"):
        tested = [place for place, gain in enumerate(gains) if _is_test(getattr(gain, name))]
        if not tested:
            continue
        corrected = holm(np.array([getattr(gains[place], name).p for place in tested]))
        for place, p in zip(tested, corrected.tolist(), strict=True):
            figure = replace(getattr(gains[place], name), p_holm=float(p))
            gains[place] = replace(gains[place], **{name: figure})
    return gains


def _is_test(figure: Difference) -> bool:
    return not np.isnan(figure.p) and (figure.low, figure.high) != (0.0, 0.0)
