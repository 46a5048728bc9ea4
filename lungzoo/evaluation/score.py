"""From predictions to a row per case, and from rows to the figures of a run."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import ScoreConfig
from lungzoo.evaluation.predict import Predictions
from lungzoo.metrics.contract import METRICS, CaseMetric, MaskPair, measure
from lungzoo.statistics.bootstrap import patient_bootstrap

if TYPE_CHECKING:
    import pandas as pd

LABEL_ACCURACY = "label_accuracy"
_IDENTITY = ("case", "patient", "volume", "z", "label")


def score_cases(predictions: Predictions, cases: pd.DataFrame, config: ScoreConfig) -> pd.DataFrame:
    """Score every case.

    Args:
        predictions: of the cases, in their order.
        cases: rows of the case table.
        config: smallest lesion that counts.

    Returns:
        One row per case: case, patient, volume, z, label, group, reference_px, predicted_px, reference_mm2 (NaN where
        the spacing is unknown), and every registered metric of a slice. `group` is "lesion", "empty" (no lesion in the
        reference) or "small" (a lesion below `min_lesion_px`). With a label head also label_true and label_predicted,
        numbers of classes (-1: the case has none of them), and label_probability_0, … of each class.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    names = [metric.name for metric in slice_metrics()]
    spacings = cases[["spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
    identities = zip(*(cases[column] for column in _IDENTITY), strict=True)
    masks = zip(predictions.references, predictions.masks, strict=True)
    for identity, (reference, mask), spacing in zip(identities, masks, spacings, strict=True):
        pair = MaskPair(reference, mask, _known(spacing))
        rows.append(
            dict(zip(_IDENTITY, identity, strict=True))
            | {"group": group_of(pair.reference_px, config)}
            | {"reference_px": pair.reference_px, "predicted_px": pair.prediction_px}
            | {"reference_mm2": pair.reference_px * pair.pixel_size}
            | measure(pair, names)
        )
    table = pd.DataFrame(rows)
    if predictions.labels is not None and predictions.label_probabilities is not None:
        table["label_true"] = predictions.labels
        table["label_predicted"] = predictions.label_probabilities.argmax(axis=1)
        for number, chances in enumerate(predictions.label_probabilities.T):
            table[f"label_probability_{number}"] = chances
    return table


def slice_metrics() -> list[CaseMetric]:
    """Return the registered metrics that a slice has."""
    return [metric for name in METRICS.names() if 2 in (metric := METRICS.get(name)).dimensions]


def group_of(reference_px: int, config: ScoreConfig) -> str:
    """Return "empty", "small" or "lesion", by the area of the reference."""
    if reference_px == 0:
        return "empty"
    return "lesion" if reference_px >= config.min_lesion_px else "small"


def counted(scores: pd.DataFrame, metric: CaseMetric) -> pd.Series[bool]:
    """Return which cases a metric's mean is over."""
    return scores["group"] != "small" if metric.over == "all" else scores["group"] == metric.over


def summarise(scores: pd.DataFrame, config: ScoreConfig, seed: int = 0) -> dict[str, dict[str, float]]:
    """Summarise a run.

    Returns:
        {metric: {mean, low, high, cases, patients}}: each registered metric over the cases it is meant for, and with
        a label head `label_accuracy`: the share of the cases with a label whose class was predicted. Intervals are
        95% patient bootstraps of this one trained network.
    """
    columns = {metric.name: scores.loc[counted(scores, metric), [metric.name, "patient"]] for metric in slice_metrics()}
    if "label_true" in scores:
        known = scores[scores["label_true"] >= 0]
        right = (known["label_true"] == known["label_predicted"]).astype(float)
        columns[LABEL_ACCURACY] = known[["patient"]].assign(**{LABEL_ACCURACY: right})
    return {
        name: asdict(
            patient_bootstrap(
                table[name].to_numpy(float), table["patient"].to_numpy(str), config.bootstrap_draws, seed,
                limits=(0.0, 1.0) if name == LABEL_ACCURACY else METRICS.get(name).limits,
            )
        )
        for name, table in columns.items()
    }  # fmt: skip


def count_groups(scores: pd.DataFrame) -> dict[str, int]:
    """Return the number of patients and of lesion, empty and small cases."""
    groups = scores["group"].value_counts()
    counts = {group: int(groups.get(group, 0)) for group in ("lesion", "empty", "small")}
    return {"patients": int(scores["patient"].nunique()), **counts}


def _known(spacing_mm: np.ndarray) -> tuple[float, ...] | None:
    return tuple(float(step) for step in spacing_mm) if all(map(math.isfinite, spacing_mm)) else None
