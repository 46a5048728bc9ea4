"""A scan's slices as a model takes them, by the same code that made them in training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from lungzoo.config import DataConfig, ModelConfig
from lungzoo.data.pipeline import neighbours
from lungzoo.data.preprocess.grey import Scaling, ranges_of
from lungzoo.data.preprocess.source import Source
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, DatasetError
from lungzoo.inference.protocol import Protocol
from lungzoo.inference.volume import Volume

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Prepared:
    """A volume behind the preprocessing of a model.

    Args:
        source: reads its slices through the steps, and takes answers back.
        scaling: raw values to numbers in [0, 1].
        stacks: int (n, slices), the slices around each.
        is_3d: the slices of a stack are the depth of a volume; else they are channels.
    """

    source: Source
    scaling: Scaling
    stacks: np.ndarray
    is_3d: bool

    def read_marked(self, rows: np.ndarray) -> np.ndarray:
        """Return what was marked of slices, on the grid of the model's input, bool (n, H, W)."""
        return self.source.read(rows[:0], rows)[1].astype(bool)

    def read(self, centre_rows: np.ndarray) -> np.ndarray:
        """Return the model's input for the slices in the middle, float32 (B, H, W, C) or (B, slices, H, W, C)."""
        stacks = self.stacks[centre_rows]
        rows, places = np.unique(stacks, return_inverse=True)
        raw, _ = self.source.read(rows, rows[:0])
        scaled = np.asarray(self.scaling(raw[:, None]))  # (rows, channels, H, W)
        image = scaled[places.reshape(stacks.shape)]  # (B, slices, channels, H, W)
        if self.is_3d:
            return np.ascontiguousarray(image.transpose(0, 1, 3, 4, 2))
        flat = image.reshape(len(image), -1, *image.shape[-2:])
        return np.ascontiguousarray(flat.transpose(0, 2, 3, 1))


def prepare(
    volume: Volume,
    protocol: Protocol,
    model: ModelConfig,
    is_3d: bool,
    weights: str,
    marked: np.ndarray | None = None,
) -> Prepared:
    """Put a volume behind the preprocessing that a model was trained with.

    Args:
        volume: the scan.
        protocol: of the weights.
        model: sizes of the model.
        is_3d: it takes stacks as the depth of a volume.
        weights: name of the weights, for messages.
        marked: uint8 {0, 1} like `volume.image`, what takes the same steps as the slices; None for nothing.

    Raises:
        DatasetError: the scan lacks what the preprocessing needs: HU, or its spacing.
    """
    _check(volume, protocol.data, weights)
    cases = _cases(volume)
    try:
        config = _covering(protocol.data, volume)
        source = Source(cast(PreparedDataset, _OneScan(volume, cases, marked)), config)
        scaling = Scaling(config, volume.units, protocol.statistics)
    except ConfigError as error:
        raise DatasetError(f"it does not go with the weights '{weights}': {error}") from None
    if scaling.channels != model.in_channels:
        raise DatasetError(
            f"it does not go with the weights '{weights}': their protocol gives {scaling.channels} channel(s) a slice, "
            f"the model takes {model.in_channels}. Put the manifest right"
        )
    return Prepared(source, scaling, neighbours(cases["volume"], cases["z"], model.in_slices), is_3d)


def _check(volume: Volume, config: DataConfig, weights: str) -> None:
    """Refuse a scan that lacks what a config needs, in the words of someone who predicts and has no config."""
    try:
        ranges_of(config, volume.units)
    except ConfigError:
        windows = ", ".join(f"{low:g} to {high:g}" for low, high in ranges_of(config, "hu"))
        raise DatasetError(
            f"it does not go with the weights '{weights}', which look at {windows} HU: in 8-bit grey HU are lost. Give "
            "the scan in HU, such as its DICOM or NIfTI files or 16-bit pictures."
        ) from None
    if config.spacing_mm and not np.isfinite(volume.spacing_mm[1:]).all():
        raise DatasetError(
            f"it does not go with the weights '{weights}', which look at pixels of {config.spacing_mm:g} mm: its "
            "spacing is unknown. Give a file that says it, such as DICOM, NIfTI, MetaImage or NRRD."
        )


def _covering(config: DataConfig, volume: Volume) -> DataConfig:
    """Return the config for whole slices: a square at its spacing that all of a slice fits into.

    Training may have cropped to a size; what lies outside must be looked at all the same.
    """
    if not config.spacing_mm:
        return config
    sides_mm = [side * step for side, step in zip(volume.image.shape[1:], volume.spacing_mm[1:], strict=True)]
    return config.model_copy(update={"size_px": max(math.ceil(max(sides_mm) / config.spacing_mm), 16)})


def _cases(volume: Volume) -> pd.DataFrame:
    import pandas as pd

    spacing = dict(zip(("spacing_z_mm", "spacing_y_mm", "spacing_x_mm"), volume.spacing_mm, strict=True))
    return pd.DataFrame({"case": [f"slice {z}" for z in volume.z], "volume": "scan", "z": volume.z, **spacing})


class _OneScan:
    """A scan as `Source` sees a dataset, with what is marked on it in the place of masks."""

    name = "the scan"

    def __init__(self, volume: Volume, cases: pd.DataFrame, marked: np.ndarray | None) -> None:
        self.images, self.cases, self.units = volume.image, cases, volume.units
        self._marked = marked

    def __len__(self) -> int:
        return len(self.images)

    def consensus(self, rows: np.ndarray, min_readers: int) -> np.ndarray:
        """Return what is marked; nothing is, unless something was given."""
        if self._marked is not None:
            return self._marked[rows]
        return np.zeros((len(rows), *self.images.shape[1:]), np.uint8)
