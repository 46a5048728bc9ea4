"""Size of the predicted lesion beside that of the reference: of a slice the area, of a volume the volume.

Answers for (reference, prediction) where one or both are empty:

| metric                    | (empty, empty) | (empty, not)   | (not, empty)   |
|---------------------------|----------------|----------------|----------------|
| area_error                | NaN            | NaN            | -100           |
| absolute_area_error_mm2   | 0              | predicted area | reference area |
| absolute_volume_error_mm3 | 0              | predicted vol. | reference vol. |

The mean of a signed error tells of a tendency to draw too large or too small, and hides errors that cancel out; the
absolute one does not. In mm² and mm³ the answer is NaN where the spacing is unknown.
"""

from __future__ import annotations

from lungzoo.metrics.contract import MaskPair, case_metric


@case_metric("area_error", title="Area error", better="zero", over="lesion", unit="%", digits=1)
def area_error(pair: MaskPair) -> float:
    """Predicted minus reference size in percent of the reference's, from -100 (nothing predicted) upwards.

    Of a volume it is the error of the volume. Source: Heimann et al. 2009, doi:10.1109/TMI.2009.2013851 (relative
    volume difference).
    """
    if not pair.reference_px:
        return float("nan")
    return 100 * (pair.prediction_px - pair.reference_px) / pair.reference_px


@case_metric(
    "absolute_area_error_mm2",
    title="Absolute area error",
    better="lower",
    over="lesion",
    unit="mm²",
    digits=1,
    dimensions=(2,),
)
def absolute_area_error_mm2(pair: MaskPair) -> float:
    """Difference of the predicted and the reference area of a slice, without sign."""
    return abs(pair.prediction_px - pair.reference_px) * pair.pixel_size


@case_metric(
    "absolute_volume_error_mm3",
    title="Absolute volume error",
    better="lower",
    over="lesion",
    unit="mm³",
    digits=1,
    dimensions=(3,),
)
def absolute_volume_error_mm3(pair: MaskPair) -> float:
    """Difference of the predicted and the reference volume, without sign."""
    return abs(pair.prediction_px - pair.reference_px) * pair.pixel_size
