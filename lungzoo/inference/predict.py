"""One scan from reading to lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lungzoo.errors import DatasetError, UsageError
from lungzoo.events import Progress
from lungzoo.inference.classes import LesionClasses
from lungzoo.inference.ensemble import labels_of, mean_slices
from lungzoo.inference.inputs import Input
from lungzoo.inference.lesions import measure_lesions
from lungzoo.inference.postprocess import PostprocessConfig, find_lungs, postprocess, within
from lungzoo.inference.predictor import Passes, Predictor, Region
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume
from lungzoo.schema import parse

_CONTEXT_PX = 64
"""How far beyond the lungs slices are shown to a model, so that it sees what surrounds a lesion at the wall."""
_MULTIPLE_PX = 32
_WHOLE = 1.5
"""How many times as high and wide as in training a slice must be to have parts of another kind."""


@dataclass(frozen=True)
class Settings:
    """How scans are predicted.

    Args:
        threshold: probability from which a voxel is lesion; None takes that of the first model's manifest.
        changes: keys of `PostprocessConfig` in the place of what the first model's manifest says.
        passes: how the models are run.

    Raises:
        UsageError: a threshold that is no probability between 0 and 1, or a step that cannot be taken.
    """

    threshold: float | None = None
    changes: dict[str, bool | float | int] = field(default_factory=dict)
    passes: Passes = field(default_factory=Passes)

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(
                f"The threshold must lie between 0 and 1. Received: {self.threshold:g}. A common one is 0.5."
            )
        parse(PostprocessConfig, self.changes, "Steps after the network")

    def postprocess(self, predictors: Sequence[Predictor]) -> PostprocessConfig:
        """Return the steps after the models."""
        return predictors[0].protocol.postprocess.model_copy(update=self.changes)

    def run_as(self, predictors: Sequence[Predictor]) -> Passes:
        """Return how the models are run."""
        chosen = self.passes.flips
        return replace(self.passes, flips=predictors[0].protocol.flips if chosen is None else chosen)

    def cut(self, predictors: Sequence[Predictor]) -> float:
        """Return the threshold."""
        return predictors[0].protocol.threshold if self.threshold is None else self.threshold


def predict_scan(
    found: Input, predictors: Sequence[Predictor], settings: Settings, progress: Progress = lambda done, total: None
) -> Result:
    """Read a scan, find its lesions and measure them.

    Args:
        found: the scan.
        predictors: one model, or several whose probabilities are averaged.
        settings: how.
        progress: is told how many slices of how many are done.

    Raises:
        DatasetError: the scan cannot be used.
        UsageError: the models of an ensemble have different classes.
        MemoryRanOut: a single slice does not fit the memory.
    """
    labels_of(predictors)
    volume = found.read()
    steps, volume = _steps(found, volume, settings, predictors)
    lungs, volume = _lungs(volume) if steps.lungs else (None, _with_doubts(volume, predictors))
    threshold, passes = settings.cut(predictors), settings.run_as(predictors)
    try:
        classes = LesionClasses(predictors, volume)
        mask, probability = _run(volume, predictors, passes, threshold, lungs, classes, progress)
    except DatasetError as error:
        raise DatasetError(f"{found.source}: {error}") from None
    mask = postprocess(mask, steps, volume.voxel_mm3, volume.pixel_mm2)
    mask, probability = _whole(mask, volume), _whole(probability, volume)
    geometry = volume.info.geometry if volume.info else None
    lesions = measure_lesions(mask, probability, volume.spacing_mm, geometry, classes.of_slice)
    weights, flips = tuple(predictor.manifest for predictor in predictors), bool(passes.flips)
    return Result(found.source, volume, mask, lesions, classes.labels, weights, threshold, steps, flips)


def _steps(
    found: Input, volume: Volume, settings: Settings, predictors: Sequence[Predictor]
) -> tuple[PostprocessConfig, Volume]:
    """Return the steps that this scan can take, and the scan with a note on those that only the manifest asks for."""
    wanted = settings.postprocess(predictors)
    steps = wanted.without_unknown(volume.spacing_mm)
    lost = [key for key in ("min_volume_mm3", "min_area_mm2") if getattr(wanted, key) != getattr(steps, key)]
    if refused := [key for key in lost if settings.changes.get(key)]:
        raise DatasetError(
            f"{found.source}: its spacing is unknown, so components cannot be sorted out by size. Leave "
            f"--{refused[0].replace('_', '-')} out."
        )
    notes = [f"its spacing is unknown, so {key} = {getattr(wanted, key):g} of the weights is left out" for key in lost]
    return steps, replace(volume, notes=(*volume.notes, *notes)) if notes else volume


def _with_doubts(volume: Volume, predictors: Sequence[Predictor]) -> Volume:
    """Return a scan with a note where a model has only seen parts of slices: of the rest it knows nothing."""
    height, width = volume.image.shape[1:]
    for predictor in predictors:
        seen, data = predictor.seen_px, predictor.protocol.data
        if seen and not data.spacing_mm and height >= _WHOLE * seen[0] and width >= _WHOLE * seen[1]:
            note = (
                f"'{predictor.manifest.name}' was trained on slices of {seen[0]}×{seen[1]} pixels; in these of "
                f"{height}×{width} it also marks what only looks like a lesion: see --lungs and --min-volume-mm3"
            )
            return replace(volume, notes=(*volume.notes, note))
    return volume


def _lungs(volume: Volume) -> tuple[np.ndarray, Volume]:
    """Return the lung fields, and the scan with a note where they are all of it."""
    lungs = find_lungs(volume.image, volume.spacing_mm)
    if not lungs.all():
        return lungs, volume
    return lungs, replace(volume, notes=(*volume.notes, "no pair of lungs was found, so lesions count everywhere"))


def region_of(lungs: np.ndarray | None, shape_zyx: tuple[int, ...]) -> Region:
    """Return where lesions can be: everywhere, or the slices of the lungs and a box around them.

    Args:
        lungs: bool (Z, Y, X), None where they do not matter.
        shape_zyx: of the volume.
    """
    if lungs is None or not lungs.any():
        everywhere = np.full(shape_zyx[0], lungs is None)
        return Region(everywhere, (slice(0, shape_zyx[1]), slice(0, shape_zyx[2])))
    slices = np.array([bool(plane.any()) for plane in lungs])
    flat: np.ndarray = lungs.max(axis=0)
    box = [_around(np.flatnonzero(flat.max(axis=1 - axis)), shape_zyx[1 + axis]) for axis in (0, 1)]
    return Region(slices, (box[0], box[1]))


def _around(places: np.ndarray, side: int) -> slice:
    """Return a span that begins at a multiple of 32, as the network's own grids do, so that they stay the same."""
    start = max(int(places[0]) - _CONTEXT_PX, 0) // _MULTIPLE_PX * _MULTIPLE_PX
    stop = -(-(int(places[-1]) + 1 + _CONTEXT_PX) // _MULTIPLE_PX) * _MULTIPLE_PX
    return slice(start, min(stop, side))


def _run(
    volume: Volume,
    predictors: Sequence[Predictor],
    passes: Passes,
    threshold: float,
    lungs: np.ndarray | None,
    classes: LesionClasses,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mask and probability (0 to 255) of the volume's slices; `classes` is told what label heads say."""
    mask = np.zeros(volume.image.shape, np.uint8)
    # One byte: it only says how sure a lesion is, and whole volumes are what takes the memory.
    probability = np.zeros(volume.image.shape, np.uint8)
    region = region_of(lungs, volume.image.shape)
    progress(0, len(mask))
    for answer in mean_slices(predictors, volume, region, passes, classes.prepared):
        found = answer.probability >= threshold
        mask[answer.row] = found if lungs is None else within(found, lungs[answer.row])
        probability[answer.row] = np.rint(answer.probability * 255)
        classes.note(answer)
        progress(answer.row + 1, len(mask))
    return mask, probability


def _whole(part: np.ndarray, volume: Volume) -> np.ndarray:
    """Put what is known of the slices that are there among those that are missing."""
    depth = volume.shape_zyx[0]
    if len(part) == depth:
        return part
    filled = np.zeros((depth, *part.shape[1:]), part.dtype)
    filled[volume.z] = part
    return filled
