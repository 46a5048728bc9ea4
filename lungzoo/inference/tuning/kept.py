"""What models answer for held-out scans, each looked at once; kept is what could be lesion at any threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from lungzoo.events import Progress
from lungzoo.inference.postprocess import PostprocessConfig, find_lungs, postprocess, within
from lungzoo.inference.predict import region_of
from lungzoo.inference.predictor import Passes, Predictor, SliceAnswer
from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.tuning.units import Unit, count_units, units


class Pass(NamedTuple):
    """One way to look: a single member, or with None the mean of all; with mirror images or without."""

    member: int | None
    flips: bool


@dataclass(frozen=True)
class Choice:
    """What becomes of a pass.

    Args:
        threshold: probability from which a pixel is lesion.
        flips: mirror images are averaged.
        steps: what is done to the mask.
    """

    threshold: float
    flips: bool = False
    steps: PostprocessConfig = field(default_factory=PostprocessConfig)


@dataclass(frozen=True)
class Kept:
    """One scan, cut to a box that holds all that could be lesion and all that is.

    Args:
        numbers: of its cases.
        places: index along z of each case.
        shape_zyx: of the box.
        spacing_mm: (z, y, x); NaN where unknown.
        reference: rising flat places in the box that are lesion, of the cases alone.
        lungs: packed bits of the lung fields in the box; None where they are everything.
        likely: of each pass the flat places in the box at or above the lowest threshold, and their probability.
    """

    numbers: np.ndarray
    places: np.ndarray
    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    reference: np.ndarray
    lungs: np.ndarray | None
    likely: dict[Pass, tuple[np.ndarray, np.ndarray]]

    def at(self, look: Pass, threshold: float) -> np.ndarray:
        """Return uint8 {0, 1} of the box: where a pass is at or above a threshold."""
        mask = np.zeros(self.shape_zyx, np.uint8)
        places, values = self.likely[look]
        mask.flat[places[values >= np.float32(threshold)]] = 1
        return mask

    def lung_fields(self) -> np.ndarray | None:
        """Return bool of the box; None where the lungs are everything."""
        if self.lungs is None:
            return None
        return np.unpackbits(self.lungs, count=int(np.prod(self.shape_zyx))).reshape(self.shape_zyx).astype(bool)

    def references(self) -> np.ndarray:
        """Return bool of the box."""
        mask = np.zeros(self.shape_zyx, bool)
        mask.flat[self.reference] = True
        return mask

    def mask(self, member: int | None, choice: Choice) -> np.ndarray:
        """Return uint8 {0, 1} of the box as `lungzoo predict` would give it."""
        found, lungs = self.at(Pass(member, choice.flips), choice.threshold), self.lung_fields()
        if choice.steps.lungs and lungs is not None:
            found = within(found, lungs)
        z_mm, y_mm, x_mm = self.spacing_mm
        return postprocess(found, choice.steps.without_unknown(self.spacing_mm), z_mm * y_mm * x_mm, y_mm * x_mm)


def look(
    predictors: Sequence[Predictor], held: HeldOut, passes: Passes, floor: float, progress: Progress
) -> list[Kept]:
    """Predict held-out cases, once as they are and once with mirror images.

    Args:
        predictors: the members.
        held: the cases.
        passes: batches and tiles.
        floor: lowest threshold that will be asked for.
        progress: is told how many scans of how many are done.
    """
    depth = max(predictor.manifest.model.in_slices for predictor in predictors)
    total, found = count_units(held), []
    progress(0, total)
    for unit in units(held, depth):
        found.append(_look_at(unit, predictors, passes, floor))
        progress(len(found), total)
    return found


def _look_at(unit: Unit, predictors: Sequence[Predictor], passes: Passes, floor: float) -> Kept:
    shape = unit.volume.image.shape
    likely: dict[Pass, tuple[np.ndarray, np.ndarray]] = {}
    for flips in (False, True):
        likely |= _likely(unit, predictors, replace(passes, flips=flips), floor)
    reference = np.zeros(shape, bool)
    reference[unit.places] = unit.references
    lungs = find_lungs(unit.volume.image, unit.volume.spacing_mm)
    whole = np.flatnonzero(reference)
    box = _box([whole, *(places for places, _ in likely.values())], shape)
    sides = (shape[0], box[0].stop - box[0].start, box[1].stop - box[1].start)
    return Kept(
        unit.numbers,
        unit.places,
        sides,
        unit.volume.spacing_mm,
        _in_box(whole, shape, box),
        None if lungs.all() else np.packbits(lungs[:, box[0], box[1]]),
        {key: (_in_box(places, shape, box), values) for key, (places, values) in likely.items()},
    )


def _likely(
    unit: Unit, predictors: Sequence[Predictor], passes: Passes, floor: float
) -> dict[Pass, tuple[np.ndarray, np.ndarray]]:
    shape = unit.volume.image.shape
    streams = [predictor.slices(unit.volume, region_of(None, shape), passes) for predictor in predictors]
    parts: dict[Pass, list[tuple[np.ndarray, np.ndarray]]] = {}
    for member, row, probability in _answers(streams):
        places = np.flatnonzero(probability >= np.float32(floor))
        found = places + row * shape[1] * shape[2], probability.ravel()[places]
        parts.setdefault(Pass(member, bool(passes.flips)), []).append(found)
    return {
        key: (np.concatenate([places for places, _ in found]), np.concatenate([values for _, values in found]))
        for key, found in parts.items()
    }


def _answers(streams: Sequence[Iterator[SliceAnswer]]) -> Iterator[tuple[int | None, int, np.ndarray]]:
    """Yield (member, row, probability): the mean, as `mean_slices` takes it, and of several each one's own."""
    for answers in zip(*streams, strict=True):
        if len(answers) == 1:
            yield None, answers[0].row, answers[0].probability
            continue
        together = np.asarray(np.mean([each.probability for each in answers], axis=0, dtype=np.float32))
        yield None, answers[0].row, together
        for member, answer in enumerate(answers):
            yield member, answer.row, answer.probability


def _box(parts: list[np.ndarray], shape: tuple[int, ...]) -> tuple[slice, slice]:
    places = np.concatenate(parts)
    if not len(places):
        return slice(0, 1), slice(0, 1)
    _, y, x = np.unravel_index(places, shape)
    return slice(int(y.min()), int(y.max()) + 1), slice(int(x.min()), int(x.max()) + 1)


def _in_box(places: np.ndarray, shape: tuple[int, ...], box: tuple[slice, slice]) -> np.ndarray:
    z, y, x = np.unravel_index(places, shape)
    height, width = (side.stop - side.start for side in box)
    return np.asarray((z * height + y - box[0].start) * width + x - box[1].start, np.int64)
