"""Distances between the outlines: Hausdorff distance, its 95th percentile, average distance, share within a tolerance.

What a surface is: `lungzoo.metrics.surface`. Answers for (reference, prediction) where one or both are empty:

| metric  | (empty, empty) | (empty, not)          | (not, empty)          |
|---------|----------------|-----------------------|-----------------------|
| hd_mm   | NaN            | diagonal of the image | diagonal of the image |
| hd95_mm | NaN            | diagonal of the image | diagonal of the image |
| assd_mm | NaN            | diagonal of the image | diagonal of the image |
| nsd     | NaN            | 0                     | 0                     |

The diagonal exceeds every distance in the image, so that silence is never the better answer. It depends on the image's
size: compare means of distances only between runs on images of one size. Where the spacing is unknown all four are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lungzoo.errors import UsageError
from lungzoo.metrics.contract import MaskPair, case_metric
from lungzoo.metrics.surface import SurfaceDistances

NSD_TOLERANCE_MM = 2.0


@case_metric("hd_mm", title="HD", better="lower", over="lesion", unit="mm", digits=1)
def hd_mm(pair: MaskPair) -> float:
    """Largest distance from a point of one outline to the other outline (Hausdorff distance).

    Source: Huttenlocher et al. 1993, doi:10.1109/34.232073, eq. 1.
    """
    return _distance_mm(pair, SurfaceDistances.hausdorff_mm)


@case_metric("hd95_mm", title="HD95", better="lower", over="lesion", unit="mm", digits=1)
def hd95_mm(pair: MaskPair) -> float:
    """95th percentile of the distances from one outline to the other, the larger of the two directions.

    Source: Huttenlocher et al. 1993, doi:10.1109/34.232073 (ranked distance); Maier-Hein et al. 2024,
    doi:10.1038/s41592-023-02151-z.
    """
    return _distance_mm(pair, lambda distances: distances.hausdorff_mm(95.0))


@case_metric("assd_mm", title="ASSD", better="lower", over="lesion", unit="mm", digits=2)
def assd_mm(pair: MaskPair) -> float:
    """Mean distance between the outlines, over the points of both (average symmetric surface distance).

    Source: Heimann et al. 2009, doi:10.1109/TMI.2009.2013851.
    """
    return _distance_mm(pair, SurfaceDistances.average_mm)


@case_metric("nsd", title=f"NSD at {NSD_TOLERANCE_MM:g} mm", better="higher", over="lesion")
def nsd(pair: MaskPair) -> float:
    """Share of both outlines that lies within 2 mm of the other one (normalised surface distance), in [0, 1].

    The tolerance is our choice: about three pixels of chest CT at 0.7 mm, and no more than the thickness of common
    slices. Source: Nikolov et al. 2021, doi:10.2196/26151 (there with surfaces between the pixels).
    """
    return nsd_at(pair, NSD_TOLERANCE_MM)


def nsd_at(pair: MaskPair, tolerance_mm: float) -> float:
    """Return the normalised surface distance at a tolerance; empty masks are answered as by `nsd`.

    Raises:
        UsageError: the tolerance is below 0 or not finite.
    """
    if not 0 <= tolerance_mm < math.inf:
        raise UsageError(f"The tolerance must be a number of mm, 0 or more. Received: {tolerance_mm}.")
    if pair.surface_distances is not None:
        return pair.surface_distances.share_within(tolerance_mm)
    if pair.spacing_mm is None or not (pair.reference_px or pair.prediction_px):
        return float("nan")
    return 0.0


def _distance_mm(pair: MaskPair, summary: Callable[[SurfaceDistances], float]) -> float:
    if pair.surface_distances is not None:
        return summary(pair.surface_distances)
    return pair.diagonal_mm if pair.reference_px or pair.prediction_px else float("nan")
