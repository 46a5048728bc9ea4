"""From LIDC's malignancy ratings to a label."""

from __future__ import annotations

import math


def malignancy_label(median: float) -> str:
    """Return "benign" for a median rating up to 2 of 5, "malignant" from 4, "indeterminate" between, "" for NaN."""
    if math.isnan(median):
        return ""
    if median <= 2:
        return "benign"
    return "malignant" if median >= 4 else "indeterminate"
