"""Slices as a model sees them, to compare answers on and to measure ranges for int8: of a dataset, or made up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungzoo.config import PhantomConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.splits.split import select_rows, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UsageError
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.volume import Volume

_SHOWN = 4
_SAMPLES = 128
_PHANTOM_SLICES = 8
_PHANTOM_SIDES_PX = (64, 512)


@dataclass(frozen=True)
class Examples:
    """Inputs of a model.

    Args:
        shown: float32 (n, H, W, C), of a 3D model (n, D, H, W, C); answers are compared on them.
        samples: like `shown`, of the training split; what int8 is fitted to. Empty of a phantom.
        source: where they come from, in words.
    """

    shown: np.ndarray
    samples: np.ndarray
    source: str

    @property
    def side_px(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.shown.shape[-3:-1]
        return int(height), int(width)

    def cut(self, side_px: int) -> Examples:
        """Return the middle of each, of one height and width.

        Raises:
            UsageError: they are smaller.
        """
        if side_px > min(self.side_px):
            raise UsageError(
                f"--size {side_px} is more than the slices of {self.source} have: {self.side_px[0]}×{self.side_px[1]}. "
                "Give a smaller size, or a dataset of larger slices."
            )
        top, left = ((side - side_px) // 2 for side in self.side_px)
        box = (..., slice(top, top + side_px), slice(left, left + side_px), slice(None))
        return Examples(self.shown[box], self.samples[box], self.source)


def of_dataset(predictor: Predictor, folder: Path, samples: bool) -> Examples:
    """Read slices of a prepared dataset: shown ones of the validation split, samples of the training split.

    Slices of the test split are never read, nor are those of patients that the weights' figures come from.

    Args:
        predictor: says how slices become input.
        folder: the dataset.
        samples: whether samples are needed.

    Raises:
        DatasetError, ConfigError: the dataset is damaged, or does not go with the weights.
    """
    dataset = PreparedDataset(folder)
    data, model = predictor.protocol.data, predictor.manifest.model
    chosen = select_rows(dataset, split_dataset(dataset, data), data)
    view = View(model.in_slices, predictor.is_3d)
    pipeline = Pipeline(dataset, data, 1, view, predictor.protocol.statistics)

    def read(part: str, count: int) -> np.ndarray:
        rows = _spread(_unseen(chosen[part], dataset, predictor, part), count)
        return np.concatenate([image for image, _, _ in pipeline.evaluation(rows, 0, 0).as_numpy_iterator()])

    shown = read("val", _SHOWN)
    return Examples(shown, read("train", _SAMPLES) if samples else shown[:0], f"{dataset.name}, validation split")


def of_phantom(predictor: Predictor, side_px: int | None) -> Examples:
    """Make slices of a synthetic chest; see `PhantomReader`.

    Args:
        predictor: says how slices become input.
        side_px: height and width that they must have at least; None for any.
    """
    from lungzoo.data.readers.phantom import PhantomReader

    low, high = _PHANTOM_SIDES_PX
    config = PhantomConfig(patients=3, slices_per_patient=_PHANTOM_SLICES, size_px=min(max(side_px or 128, low), high))
    items = PhantomReader(config).patient(0)
    image = np.stack([item.image for item in items])
    volume = Volume(image, "hu", np.arange(len(image)), image.shape, items[0].case.spacing_mm)
    prepared = predictor.prepare(volume)
    shown = prepared.read(_spread(np.arange(len(image)), _SHOWN))
    return Examples(_grown(shown, side_px or 0), shown[:0], "lungzoo's synthetic chest")


def _unseen(rows: np.ndarray, dataset: PreparedDataset, predictor: Predictor, part: str) -> np.ndarray:
    trained_on = predictor.manifest.trained_on
    held_out = trained_on.patients.test if trained_on else ()
    kept = rows[~dataset.cases["patient"].iloc[rows].isin(held_out).to_numpy()]
    if not len(kept):
        raise UsageError(
            f"The weights '{predictor.manifest.name}' were scored on all patients of the {part} split of "
            f"'{dataset.name}'; nothing is left to look at. Give another dataset."
        )
    return kept


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Return so many rows at equal distances."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, count + 2).round().astype(int)[1:-1])]


def _grown(images: np.ndarray, side_px: int) -> np.ndarray:
    """Mirror images at their edges where they are smaller than a size."""
    missing = [max(side_px - side, 0) for side in images.shape[-3:-1]]
    return np.pad(images, [(0, 0)] * (images.ndim - 3) + [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
