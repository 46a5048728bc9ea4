"""Every combination of threshold, mirror images and steps on validation cases, and which one is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from lungzoo.errors import ConfigError
from lungzoo.events import Progress
from lungzoo.inference.postprocess import PostprocessConfig, fill_holes, within
from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.tuning.kept import Choice, Kept, Pass
from lungzoo.inference.tuning.measure import parts_of
from lungzoo.inference.tuning.scores import groups_of, score
from lungzoo.inference.tuning.units import by_volume

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
# Discs and balls of 3 mm, the smallest nodule that readers outline, have 7 mm² and 14 mm³; of 5 mm 20 and 65.
MIN_AREAS_MM2 = (0.0, 3.0, 7.0, 12.0, 20.0, 30.0, 50.0)
MIN_VOLUMES_MM3 = (0.0, 5.0, 14.0, 33.0, 65.0, 113.0)
LARGEST = (None, 1, 2, 3, 5)
STEPS = ("mirror images", "threshold", "lung fields", "holes filled", "smallest component", "most components")
TIE = 0.001
RULE = (
    f"highest mean Dice over validation cases with a lesion; what is within {TIE:g} of it counts as equal, and of that "
    "the fewest marked cases without a lesion are taken, then the fewest steps, then the highest Dice, then the "
    "threshold nearest to the plain one"
)


@dataclass(frozen=True)
class Axes:
    """The values that are tried; the first of each but the threshold is the plain pass.

    Args:
        thresholds: rising.
        lungs: (False,) where lung fields are found in no case, so that nothing would change.
        sizes: in mm² where `per_slice`, else in mm³; (0.0,) where no case has a spacing.
        per_slice: components are those of each slice by itself, as in datasets of single slices.
    """

    thresholds: tuple[float, ...]
    lungs: tuple[bool, ...]
    sizes: tuple[float, ...]
    per_slice: bool
    flips: tuple[bool, ...] = (False, True)
    fill_holes: tuple[bool, ...] = (False, True)
    largest: tuple[int | None, ...] = LARGEST

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, in the order of `choice`."""
        axes = (self.flips, self.thresholds, self.lungs, self.fill_holes, self.sizes, self.largest)
        return tuple(map(len, axes))

    def choice(self, place: Sequence[int]) -> Choice:
        """Return what a place in the grid means."""
        flips, threshold, lungs, holes, size, largest = (int(index) for index in place)
        names = ("min_area_mm2", "largest_per_slice") if self.per_slice else ("min_volume_mm3", "largest")
        values = (self.sizes[size], self.largest[largest])
        steps = {
            "lungs": self.lungs[lungs],
            "fill_holes": self.fill_holes[holes],
            **dict(zip(names, values, strict=True)),
        }
        return Choice(self.thresholds[threshold], self.flips[flips], PostprocessConfig.model_validate(steps))


@dataclass(frozen=True)
class Tried:
    """One combination: mean Dice and number of marked cases without a lesion."""

    choice: Choice
    dice: float
    marked: int


@dataclass(frozen=True)
class Grid:
    """What every combination gave on the validation cases.

    Args:
        axes: what was tried.
        plain: threshold of the plain pass.
        dice: float, mean Dice over the cases with a lesion.
        marked: int, the same shape: cases without a lesion that are marked.
        lesion_cases, empty_cases: how many there are of either kind.
    """

    axes: Axes
    plain: float
    dice: np.ndarray
    marked: np.ndarray
    lesion_cases: int
    empty_cases: int

    def at(self, place: Sequence[int]) -> Tried:
        """Return the combination at a place."""
        index = tuple(map(int, place))
        return Tried(self.axes.choice(index), float(self.dice[index]), int(self.marked[index]))

    @property
    def plain_pass(self) -> Tried:
        """The plain pass."""
        return self.at(plain_place(self.axes, self.plain))

    def chosen(self) -> Tried:
        """Return the combination that `RULE` takes."""
        near: list[list[int]] = np.argwhere(self.dice >= self.dice.max() - TIE).tolist()
        return self.at(min(near, key=self._rank))

    def _rank(self, place: Sequence[int]) -> tuple[float, ...]:
        index, thresholds = tuple(place), self.axes.thresholds
        steps = sum(value > 0 for axis, value in enumerate(place) if axis != 1)
        away = abs(thresholds[place[1]] - self.plain)
        return (float(self.marked[index]), steps, -float(self.dice[index]), away)

    def __iter__(self) -> Iterator[Tried]:
        """Yield all combinations."""
        return (self.at(place) for place in np.ndindex(self.dice.shape))


def plain_place(axes: Axes, threshold: float) -> tuple[int, ...]:
    """Return the place of the plain pass."""
    return (0, axes.thresholds.index(threshold), 0, 0, 0, 0)


def axes_of(kept: Sequence[Kept], held: HeldOut, plain: float) -> Axes:
    """Return what can be tried with these cases."""
    per_slice = not by_volume(held)
    known = [np.isfinite(each.spacing_mm[1:] if per_slice else each.spacing_mm).all() for each in kept]
    sizes = MIN_AREAS_MM2 if per_slice else MIN_VOLUMES_MM3
    lungs = any(each.lungs is not None for each in kept)
    return Axes(
        tuple(sorted({*THRESHOLDS, plain})),
        (False, True) if lungs else (False,),
        sizes if any(known) else (0.0,),
        per_slice,
    )


def try_all(kept: Sequence[Kept], held: HeldOut, plain: float, progress: Progress) -> Grid:
    """Score every combination on the mean of all members.

    Args:
        kept: of the validation cases.
        held: the cases.
        plain: threshold of the plain pass.
        progress: is told how many scans of how many are done.

    Raises:
        ConfigError: no case has a lesion.
    """
    axes = axes_of(kept, held, plain)
    dice, marked = np.zeros(axes.shape), np.zeros(axes.shape, np.int64)
    lesions = empty = 0
    for done, each in enumerate(kept, 1):
        groups = groups_of(each.references()[each.places].sum(axis=(1, 2)), held)
        lesions, empty = lesions + int((groups == "lesion").sum()), empty + int((groups == "empty").sum())
        _add(each, groups, axes, dice, marked)
        progress(done, len(kept))
    if not lesions:
        raise ConfigError(
            f"No validation case of '{held.dataset.name}' has a lesion of at least {held.score.min_lesion_px} "
            "pixel(s), so nothing can be chosen by Dice."
        )
    return Grid(axes, plain, dice / lesions, marked, lesions, empty)


def _add(kept: Kept, groups: np.ndarray, axes: Axes, dice: np.ndarray, marked: np.ndarray) -> None:
    """Add one scan to the sums of every combination."""
    reference, lungs = kept.references(), kept.lung_fields()
    sizes_px = reference[kept.places].sum(axis=(1, 2))
    lesion, empty = groups == "lesion", groups == "empty"
    unit = math.prod(kept.spacing_mm[1:] if axes.per_slice else kept.spacing_mm)
    for (f, flips), (t, threshold) in product(enumerate(axes.flips), enumerate(axes.thresholds)):
        plain = kept.at(Pass(None, flips), threshold)
        for (n, in_lungs), (h, holes) in product(enumerate(axes.lungs), enumerate(axes.fill_holes)):
            mask = within(plain, lungs) if in_lungs and lungs is not None else plain
            parts = parts_of(fill_holes(mask) if holes else mask, kept, reference, axes.per_slice)
            predicted, hits = parts.totals(unit, axes.sizes, axes.largest)
            place = (f, t, n, h)
            dice[place] += (2 * hits[..., lesion] / (predicted + sizes_px)[..., lesion]).sum(axis=-1)
            marked[place] += (predicted[..., empty] > 0).sum(axis=-1)


def alone(kept: Sequence[Kept], held: HeldOut, axes: Axes, plain: float, member: int | None) -> dict[str, Tried]:
    """Return for each step its best value where nothing else is done, the plain one left out; the first of equals.

    Args:
        kept: of the validation cases.
        held: the cases.
        axes: the values.
        plain: threshold of the plain pass.
        member: whose answers; None takes the mean of all.
    """
    start, found = plain_place(axes, plain), dict[str, Tried]()
    for axis, name in enumerate(STEPS):
        others = [(*start[:axis], value, *start[axis + 1 :]) for value in range(axes.shape[axis])]
        tried = [scored(kept, held, axes.choice(place), member) for place in others if place != start]
        if tried:
            found[name] = max(tried, key=lambda each: each.dice)
    return found


def scored(kept: Sequence[Kept], held: HeldOut, choice: Choice, member: int | None) -> Tried:
    """Score one choice on validation cases."""
    scores = score(kept, held, member, choice)
    return Tried(choice, scores.mean_dice, int(np.nansum(scores.marked)))
