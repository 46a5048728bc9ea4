"""Kinds of cases that results are shown for one by one: sizes of the lesion, labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lungzoo.metrics.contract import METRICS
from lungzoo.statistics.bootstrap import intervals
from lungzoo.suites.report.results import SuiteResults

# Where management of a solid nodule changes at baseline, as diameters; Lung-RADS v2022, American College of Radiology.
SIZE_EDGES_MM: tuple[float, ...] = (6.0, 8.0, 15.0)
MIN_CASES = 5
# From this share of the lesions on, sizes are in mm, and those of unknown spacing are left out.
LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Stratum:
    """Some of the cases.

    Args:
        kind: "size" or "label".
        title: of the stratum, such as "6–8 mm".
        cases: bool (cases,), which they are; all have a lesion.
    """

    kind: str
    title: str
    cases: np.ndarray


def strata(results: SuiteResults) -> tuple[Stratum, ...]:
    """Return the strata with at least five lesion cases, where there are two or more of a kind."""
    lesion = (results.cases["group"] == "lesion").to_numpy()
    found: list[Stratum] = []
    for kind in (_sizes(results, lesion), _labels(results, lesion)):
        enough = [stratum for stratum in kind if stratum.cases.sum() >= MIN_CASES]
        found += enough if len(enough) > 1 else []
    return tuple(found)


def stratum_intervals(
    results: SuiteResults, stratum: Stratum, metric: str, draws: int
) -> dict[str, tuple[float, float, float]]:
    """Return (mean, low, high) of each arm with results over the cases of a stratum."""
    arms = results.with_results
    values = [np.where(stratum.cases, results.values(arm, metric), np.nan) for arm in arms]
    limits = METRICS.get(metric).limits
    found = intervals(values, results.patients, results.folds, draws=draws, limits=limits)
    return {
        arm.arm: (float(found.mean[place]), float(found.low[place]), float(found.high[place]))
        for place, arm in enumerate(arms)
    }


def diameters_mm(results: SuiteResults) -> np.ndarray:
    """Return (cases,) the diameter of the disc of the reference's area; NaN where the spacing is unknown."""
    areas = results.cases["reference_mm2"].to_numpy(float)
    return 2 * np.sqrt(areas / np.pi)


def _sizes(results: SuiteResults, lesion: np.ndarray) -> list[Stratum]:
    sizes = diameters_mm(results)
    known = np.isfinite(sizes)
    if lesion.any() and known[lesion].mean() >= LEAST_KNOWN:
        lesion, edges, unit = lesion & known, SIZE_EDGES_MM, "mm"
    else:
        sizes = results.cases["reference_px"].to_numpy(float)
        edges, unit = _thirds(sizes[lesion]), "px"
    numbers = np.digitize(sizes, edges)
    titles = [
        f"< {edges[0]:g} {unit}",
        *(f"{low:g}–{high:g} {unit}" for low, high in pairwise(edges)),
        f"≥ {edges[-1]:g} {unit}",
    ]
    return [Stratum("size", title, lesion & (numbers == place)) for place, title in enumerate(titles)]


def _thirds(sizes: np.ndarray) -> tuple[float, ...]:
    if not len(sizes):
        return (1.0,)
    return tuple(float(round(edge)) for edge in np.unique(np.round(np.quantile(sizes, [1 / 3, 2 / 3]))))


def _labels(results: SuiteResults, lesion: np.ndarray) -> list[Stratum]:
    labels = results.cases["label"].to_numpy(str)
    return [Stratum("label", label, lesion & (labels == label)) for label in sorted(set(labels[lesion])) if label]
