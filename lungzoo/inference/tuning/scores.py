"""What a mask is worth: Dice of the cases with a lesion, and which cases without one are marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lungzoo.evaluation.score import group_of
from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.tuning.kept import Choice, Kept


@dataclass(frozen=True)
class CaseScores:
    """Of all cases of a part.

    Args:
        dice: float (cases,); NaN of cases without a lesion, or with one below `min_lesion_px`.
        marked: float (cases,), 1 where a case without a lesion has a predicted pixel, else 0; NaN of other cases.
    """

    dice: np.ndarray
    marked: np.ndarray

    @property
    def mean_dice(self) -> float:
        """Mean over the cases with a lesion; NaN where there are none."""
        return mean_of(self.dice)


def mean_of(values: np.ndarray) -> float:
    """Return the mean of the values that are no NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def score(kept: Sequence[Kept], held: HeldOut, member: int | None, choice: Choice) -> CaseScores:
    """Score what `lungzoo predict` would make of every case.

    Args:
        kept: of all cases.
        held: the cases.
        member: whose answers; None takes the mean of all members.
        choice: threshold and steps.
    """
    dice, marked = np.full((2, len(held.rows)), np.nan)
    for each in kept:
        mask = each.mask(member, choice)[each.places] > 0
        reference = each.references()[each.places]
        sizes = reference.sum(axis=(1, 2))
        groups = groups_of(sizes, held)
        predicted, both = mask.sum(axis=(1, 2)), (mask & reference).sum(axis=(1, 2))
        lesion, empty = groups == "lesion", groups == "empty"
        dice[each.numbers[lesion]] = 2 * both[lesion] / (predicted + sizes)[lesion]
        marked[each.numbers[empty]] = predicted[empty] > 0
    return CaseScores(dice, marked)


def groups_of(sizes_px: np.ndarray, held: HeldOut) -> np.ndarray:
    """Return "lesion", "empty" or "small" of cases by the area of their reference."""
    return np.array([group_of(int(size), held.score) for size in sizes_px])
