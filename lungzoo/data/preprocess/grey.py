"""From raw values to numbers in [0, 1]: HU windows as channels, and the training split's own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.data.preprocess.source import Source
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError

# Lung (air in alveoli, vessels) is darker than this; chest wall, heart and dense lesions are brighter.
_BRIGHTEST_LUNG_HU = -400.0
_BRIGHTEST_LUNG_SHARE = 0.35
DEVIATIONS = 3.0
"""Standard deviations around the mean that `normalise = "zscore"` spreads over [0, 1], on either side."""
_CHUNK = 64


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each channel, image in [0, 1]."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def measure_statistics(dataset: PreparedDataset, config: DataConfig, rows: np.ndarray) -> Statistics:
    """Measure the mean and deviation of each channel over slices, after the config's steps and windows.

    Args:
        dataset: opened dataset.
        config: windows and preprocessing.
        rows: of the training split; others would leak into training.
    """
    source, ranges = Source(dataset, config), ranges_of(config, dataset.units)
    sums, count = np.zeros((2, len(ranges))), 0
    for start in range(0, len(rows), _CHUNK):
        image, _ = source.read(rows[start : start + _CHUNK], rows[:0])
        count += image.size
        for channel, (low, high) in enumerate(ranges):
            values = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
            sums[:, channel] += values.sum(), (values**2).sum()
    mean = sums[0] / count
    deviation = np.sqrt(np.maximum(sums[1] / count - mean**2, 1e-12))
    return Statistics(tuple(mean.tolist()), tuple(deviation.tolist()))


def ranges_of(config: DataConfig, units: str) -> tuple[tuple[float, float], ...]:
    """Return the raw values that become 0 and 1, for each channel.

    Raises:
        ConfigError: windows of a dataset without HU. A window_hu that says what the default says is none: a config that
            was written out in full and read back says so.
    """
    if units == "hu":
        return config.windows or (config.window_hu,)
    if config.window_hu != DataConfig().window_hu:
        raise ConfigError(
            "data.window_hu needs a dataset in HU; this one's images are 8-bit, windowed before they were imported. "
            f"Received: {list(config.window_hu)}. Allowed: none. Leave data.window_hu out."
        )
    if config.windows:
        raise ConfigError(
            "data.windows needs a dataset in HU; this one's images are 8-bit, windowed before they were imported. "
            f"Received: {[list(window) for window in config.windows]}. Leave data.windows out."
        )
    return ((0.0, 255.0),)


class Scaling:
    """Raw images to numbers in [0, 1], one channel for each window.

    Args:
        config: windows and normalisation.
        units: "hu" or "uint8" of the dataset.
        statistics: of the training split, needed for `normalise = "zscore"`.

    Raises:
        ConfigError: windows of a dataset without HU, or "zscore" without statistics.
    """

    def __init__(self, config: DataConfig, units: str, statistics: Statistics | None = None) -> None:
        if config.normalise == "zscore" and statistics is None:
            raise ConfigError('data.normalise = "zscore" needs statistics of the training split. Received: none.')
        self._ranges = ranges_of(config, units)
        self._statistics = statistics if config.normalise == "zscore" else None
        self._in_hu = units == "hu"
        high = self._ranges[0][1]
        self.brightest_lung = _BRIGHTEST_LUNG_HU if units == "hu" else _BRIGHTEST_LUNG_SHARE * high

    @property
    def channels(self) -> int:
        """Channels of a slice."""
        return len(self._ranges)

    def __call__(self, image: Any) -> Any:
        """(B, slices, H, W) in raw units -> float32 (B, slices · channels, H, W) in [0, 1]."""
        import tensorflow as tf

        image = tf.cast(image, tf.float32)
        channels = [self._scaled(image, number) for number in range(self.channels)]
        if len(channels) == 1:
            return channels[0]
        shape = tf.shape(image)
        return tf.reshape(tf.stack(channels, axis=2), [shape[0], image.shape[1] * len(channels), shape[2], shape[3]])

    def _scaled(self, image: Any, number: int) -> Any:
        import tensorflow as tf

        low, high = self._ranges[number]
        scaled = tf.clip_by_value((image - low) / (high - low), 0.0, 1.0) if self._in_hu else image / high
        if self._statistics is None:
            return scaled
        mean, deviation = self._statistics.mean[number], self._statistics.deviation[number]
        return tf.clip_by_value((scaled - mean) / (2 * DEVIATIONS * deviation) + 0.5, 0.0, 1.0)
