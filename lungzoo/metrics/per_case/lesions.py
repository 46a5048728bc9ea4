"""Lesions found and invented, counted as connected components; what a hit is: `lungzoo.metrics.lesions`.

Answers for (reference, prediction) where one or both are empty:

| metric                 | (empty, empty) | (empty, not)         | (not, empty) |
|------------------------|----------------|----------------------|--------------|
| lesion_sensitivity     | NaN            | NaN                  | 0            |
| false_positive_lesions | 0              | predicted components | 0            |
| false_positive_rate    | 0              | 1                    | 0            |
"""

from __future__ import annotations

from lungzoo.metrics.contract import MaskPair, case_metric


@case_metric("lesion_sensitivity", title="Lesion sensitivity", better="higher", over="lesion")
def lesion_sensitivity(pair: MaskPair) -> float:
    """Share of the reference's connected components that a predicted one hits (IoU of at least 0.1), in [0, 1].

    Source: Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z.
    """
    return pair.lesions.sensitivity


@case_metric("false_positive_lesions", title="False positive lesions", better="lower", over="all", digits=2, count=True)
def false_positive_lesions(pair: MaskPair) -> float:
    """Number of predicted connected components that hit no lesion.

    Source: Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z.
    """
    return float(pair.lesions.false_positives)


@case_metric("false_positive_rate", title="False positive rate", better="lower", over="empty")
def false_positive_rate(pair: MaskPair) -> float:
    """1 where any pixel is predicted, else 0; its mean over cases without a lesion is the false positive rate."""
    return float(pair.prediction_px > 0)
