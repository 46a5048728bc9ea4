"""Measure what all metrics of a case cost together, in milliseconds per case.

python benchmarks/speed/metrics.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from lungzoo.metrics.calibration import CalibrationCounts
from lungzoo.metrics.contract import METRICS, MaskPair, measure
from lungzoo.metrics.thresholds import ThresholdCounts

SPACING_MM = (2.0, 0.7, 0.7)


def main() -> None:
    """Print the median of each setting."""
    print(f"{len(METRICS.names())} metrics per case")
    for title, reference, prediction in settings():
        spacing_mm = SPACING_MM[-reference.ndim :]
        print(
            f"{title}: {median_ms(lambda *masks: measure(MaskPair(*masks)), reference, prediction, spacing_mm):.2f} ms"
        )
    rng = np.random.default_rng(0)
    for size in (64, 512):
        probability, reference = rng.random((size, size), np.float32), disc(size, (30, 30), 8)
        print(f"calibration of {size}²: {median_ms(CalibrationCounts.of, probability, reference):.2f} ms")
        print(f"thresholds of {size}²: {median_ms(ThresholdCounts.of, probability, reference):.2f} ms")


def settings() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (title, reference, prediction)."""
    rng = np.random.default_rng(0)
    found = []
    for size in (64, 512):
        lesion = disc(size, (30, 30), 8)
        found += [
            (f"{size}², close", lesion, disc(size, (33, 31), 7)),
            (f"{size}², in the opposite corner", lesion, disc(size, (size - 12, size - 12), 8)),
            (f"{size}², nothing predicted", lesion, lesion & False),
            (
                f"{size}², a large tumour",
                disc(size, (size // 2, size // 2), size // 6),
                disc(size, (30, 30), size // 6),
            ),
            (f"{size}², noise in 1% of the pixels", lesion, lesion | (rng.random((size, size)) < 0.01)),
            (f"{size}², noise in 10% of the pixels", lesion, lesion | (rng.random((size, size)) < 0.1)),
        ]
    ball = np.zeros((64, 256, 256), bool)
    ball[20:40, 100:130, 100:130] = True
    return [*found, ("64 × 256², close", ball, np.roll(ball, 3, axis=1))]


def disc(size: int, centre: tuple[int, int], radius: int) -> np.ndarray:
    """Return a disc in a square image."""
    rows, columns = np.ogrid[:size, :size]
    return np.asarray((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2)


def median_ms(work: Callable[..., object], *arguments: object, times: int = 21) -> float:
    """Return the median of `times` runs after one to warm up."""
    work(*arguments)
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work(*arguments)
        spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent)


if __name__ == "__main__":
    main()
