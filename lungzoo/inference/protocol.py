"""How the slices that a model was trained on became its input, as its weights' manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.data.preprocess.grey import Statistics
from lungzoo.errors import ConfigError
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.schema import parse
from lungzoo.weights.manifest import WeightsManifest

_THRESHOLD = 0.5


@dataclass(frozen=True)
class Protocol:
    """What a manifest's `protocol` means for a new scan.

    Args:
        data: windows, preprocessing and grid.
        statistics: mean and deviation of the training split; None where `data.normalise` is "window".
        threshold: probability from which a voxel is lesion.
        postprocess: what is done to the mask by default.
        flips: whether mirror images are averaged by default.
    """

    data: DataConfig
    statistics: Statistics | None
    threshold: float
    postprocess: PostprocessConfig
    flips: bool = False


def protocol_of(manifest: WeightsManifest) -> Protocol:
    """Read a manifest's protocol; what it does not say has its default.

    Raises:
        ConfigError: it is malformed, or asks for statistics that it does not hold.
    """
    where = f"Protocol of the weights '{manifest.name}'"
    data = parse(DataConfig, _table(manifest.protocol, "data", where), f"{where}, data")
    postprocess = parse(PostprocessConfig, _table(manifest.protocol, "postprocess", where), f"{where}, postprocess")
    threshold = _table(manifest.protocol, "score", where).get("threshold", _THRESHOLD)
    if not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise ConfigError(f"{where}: score.threshold must be a number between 0 and 1. Received: {threshold!r}")
    flips = _table(manifest.protocol, "predict", where).get("flips", False)
    if not isinstance(flips, bool):
        raise ConfigError(f"{where}: predict.flips must be true or false. Received: {flips!r}")
    statistics = _statistics(_table(manifest.protocol, "intensity", where), where)
    if data.normalise == "zscore" and statistics is None:
        raise ConfigError(
            f"{where} says normalise = 'zscore', but not the mean and deviation. Write the manifest anew."
        )
    return Protocol(data, statistics if data.normalise == "zscore" else None, float(threshold), postprocess, flips)


def _table(protocol: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    table = protocol.get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: '{key}' must be a table. Received: {table!r}")
    return table


def _statistics(values: dict[str, Any], where: str) -> Statistics | None:
    if not values:
        return None
    try:
        numbers = np.array([values["mean"], values["deviation"]], float)
    except (KeyError, TypeError, ValueError):
        numbers = np.full((2, 1), np.nan)
    if numbers.ndim != 2 or not np.isfinite(numbers).all() or numbers[1].min() <= 0:
        raise ConfigError(f"{where}: 'intensity' must hold a mean and a deviation of each channel. Received: {values}")
    return Statistics(tuple(numbers[0].tolist()), tuple(numbers[1].tolist()))
