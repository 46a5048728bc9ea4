"""A model with its weights, run over the slices of a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.classifiers.second_stage import SecondStage, load_second_stage
from lungzoo.inference.batches import Batches, answers_of, memory_named
from lungzoo.inference.prepare import Prepared, prepare
from lungzoo.inference.protocol import Protocol, protocol_of
from lungzoo.inference.tta import with_flips
from lungzoo.inference.volume import Volume
from lungzoo.inference.windows import Blend, Tile, centres, make_tiles
from lungzoo.weights.manifest import WeightsManifest

VOLUME_TILE_PX = 192
"""Side of the tiles that 3D models see unless told otherwise: whole slices of many at once would not fit."""


@dataclass(frozen=True)
class Passes:
    """How a model is run.

    Args:
        batch_size: inputs at once.
        tile_px: cut slices into overlapping tiles of this side; None takes them whole, of 3D models in tiles of 192.
        flips: average over mirror images; None does as the manifest of the first model says, see `Settings`.
        tell: is given a line where something was changed on the way.
    """

    batch_size: int = 4
    tile_px: int | None = None
    flips: bool | None = None
    tell: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Region:
    """What of a volume is looked at; elsewhere there is no lesion.

    Args:
        slices: bool (n,), which slices.
        box: rows and columns.
    """

    slices: np.ndarray
    box: tuple[slice, slice]


@dataclass(frozen=True)
class SliceAnswer:
    """What is predicted of one slice.

    Args:
        row: index in the volume's image.
        probability: float32 (H, W) of lesion, on the source's grid.
        labels: float32 (labels,), probabilities that sum to 1; None without a label head, or where it was not looked.
    """

    row: int
    probability: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Predictor:
    """A model, its weights and how slices become its input.

    Args:
        model: the `keras.Model`.
        manifest: of its weights.
        protocol: what the manifest says of its input.
        is_3d: it takes stacks of slices as the depth of a volume.
        file: where the weights lie; None for a model made by hand.
        made: classifier of what the model marks, of a model made by hand; that of a file is read when it is asked for.
    """

    model: Any
    manifest: WeightsManifest
    protocol: Protocol
    is_3d: bool
    file: Path | None = None
    made: SecondStage | None = None

    @cached_property
    def second(self) -> SecondStage | None:
        """Classifier of what the model marks; None without one. Raises as `load_second_stage` does."""
        return load_second_stage(self.manifest, self.file) if self.made is None and self.file else self.made

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes of its label head."""
        return self.manifest.model.labels

    @property
    def seen_px(self) -> tuple[int, int] | None:
        """Height and width of the slices that it saw in training; None where the manifest does not say."""
        about, side_px = self.manifest.trained_on, self.protocol.data.size_px
        if side_px:
            return side_px, side_px
        return about.slice_px if about else None

    @property
    def lesion_classes(self) -> tuple[str, ...]:
        """Names of the classes that lesions are told apart as, by its label head or its second stage."""
        entry = self.made or self.manifest.second_stage
        return entry.labels if entry else self.labels

    def prepare(self, volume: Volume) -> Prepared:
        """Put a volume behind the preprocessing of the training; raises as `prepare` does."""
        return prepare(volume, self.protocol, self.manifest.model, self.is_3d, self.manifest.name)

    def slices(
        self, volume: Volume, region: Region, passes: Passes, prepared: Prepared | None = None
    ) -> Iterator[SliceAnswer]:
        """Yield an answer for every slice of a volume, in order.

        Args:
            volume: the scan.
            region: what of it is looked at.
            passes: how.
            prepared: the scan as `prepare` gives it, so that its steps are taken once; None takes them here.

        Raises:
            DatasetError: the volume lacks what the preprocessing needs.
            MemoryRanOut: a single input does not fit the memory.
        """
        prepared = prepared or self.prepare(volume)
        height, width = prepared.source.shape_yx
        box = (slice(0, height), slice(0, width)) if prepared.source.regrids else region.box
        tile_px = passes.tile_px or (VOLUME_TILE_PX if self.is_3d else None)
        windows = _Windows(prepared, region.slices, make_tiles(box, tile_px))
        answer = answers_of(self.model)
        size = min(passes.batch_size, max(windows.count, 1))
        batches = Batches(with_flips(answer) if passes.flips else answer, size, passes.tell)
        yield from _complete(windows.run(batches), volume, prepared)


def open_predictor(source: str | Path) -> Predictor:
    """Load weights by published name, or from an `.npz` or folder with a manifest; raises as `models.load` does."""
    from lungzoo.models.load import load_resolved, resolve
    from lungzoo.models.zoo import MODELS

    manifest, file = resolve(source)
    protocol = protocol_of(manifest)  # a malformed one is told before the network is built
    is_3d = MODELS.get(manifest.model.name).dims == 3
    return Predictor(load_resolved(manifest, file), manifest, protocol, is_3d, file)


class _Windows:
    """Shows the windows and tiles of a volume to a model and puts the answers together."""

    def __init__(self, prepared: Prepared, wanted: np.ndarray, tiles: list[Tile]) -> None:
        self._prepared, self._wanted = prepared, wanted
        self._masked = prepared.stacks if prepared.is_3d else np.arange(len(prepared.stacks))[:, None]
        rows = centres(wanted, self._masked).tolist()
        self._jobs = [(centre, tile) for centre in rows for tile in tiles]
        self._labels: dict[int, list[np.ndarray]] = {}

    @property
    def count(self) -> int:
        """How many inputs the model is shown."""
        return len(self._jobs)

    def run(self, batches: Batches) -> Iterator[SliceAnswer]:
        """Yield the wanted slices in order, on the grid of the model's input."""
        blend, jobs, start = Blend(self._prepared.source.shape_yx), self._jobs, 0
        if jobs:  # what a step finds of the whole volume has nothing to do with the size of a batch
            with memory_named():
                self._prepared.read(np.array([jobs[0][0]]))
        while start < len(jobs):
            part = jobs[start : start + batches.size]
            masks, labels = batches.made(len(part), partial(self._inputs, part))
            for number, (centre, tile) in enumerate(part):
                self._place(blend, centre, tile, masks[number], None if labels is None else labels[number])
            start += len(part)
            before = int(self._masked[jobs[start][0]].min()) if start < len(jobs) else len(self._wanted)
            for row, probability in blend.ready(before):
                found = self._labels.pop(row, None)
                yield SliceAnswer(row, probability, np.mean(found, axis=0) if found else None)

    def _inputs(self, jobs: list[tuple[int, Tile]], span: slice) -> np.ndarray:
        part = jobs[span]
        rows, places = np.unique([centre for centre, _ in part], return_inverse=True)
        images = self._prepared.read(rows)
        cut = [images[place][..., tile.rows, tile.columns, :] for place, (_, tile) in zip(places, part, strict=True)]
        return np.stack(cut)

    def _place(self, blend: Blend, centre: int, tile: Tile, mask: np.ndarray, label: np.ndarray | None) -> None:
        planes = mask if self._prepared.is_3d else mask[None]
        middle = len(planes) // 2
        for place, plane in enumerate(planes):
            row = centre + place - middle
            # Beyond the ends of a run of slices its first or last repeats; only its true place counts.
            if not (0 <= row < len(self._wanted) and row == self._masked[centre, place] and self._wanted[row]):
                continue
            blend.add(row, tile, plane, 1 - abs(place - middle) / (middle + 1))
            if label is not None:
                self._labels.setdefault(row, []).append(label)


def _complete(answers: Iterator[SliceAnswer], volume: Volume, prepared: Prepared) -> Iterator[SliceAnswer]:
    """Yield every slice, on the source's grid; those that were not looked at are empty."""
    empty = np.zeros(volume.image.shape[1:], np.float32)
    following = 0
    for answer in answers:
        for row in range(following, answer.row):
            yield SliceAnswer(row, empty)
        back = prepared.source.inverse(answer.probability[None], np.array([answer.row]))[0]
        yield SliceAnswer(answer.row, np.clip(back, 0, 1), answer.labels)
        following = answer.row + 1
    for row in range(following, len(volume.image)):
        yield SliceAnswer(row, empty)
