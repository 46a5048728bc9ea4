"""From predictions to a row per case, and from rows to the figures of a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import ScoreConfig
from lungzoo.evaluation.predict import Predictions
from lungzoo.evaluation.statistics import patient_bootstrap
from lungzoo.metrics.overlap import overlap

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("dice", "iou", "precision", "recall")


def score_cases(predictions: Predictions, cases: pd.DataFrame, config: ScoreConfig) -> pd.DataFrame:
    """Score every case.

    Args:
        predictions: of the cases, in their order.
        cases: rows of the case table.
        config: smallest lesion that counts.

    Returns:
        One row per case: case, patient, label, group, reference_px, predicted_px, marked, dice, iou, precision, recall.
        `marked` is 1 where any pixel was predicted. With a label head also label_true and label_predicted, numbers of
        classes (-1: the case has none of them), and label_probability of the predicted class.
        `group` is "lesion", "empty" (no lesion in the reference) or "small" (a lesion below `min_lesion_px`).
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    identities = zip(cases["case"], cases["patient"], cases["label"], strict=True)
    for identity, reference, mask in zip(identities, predictions.references, predictions.masks, strict=True):
        counts = overlap(reference, mask)
        area = counts.true_positive + counts.false_negative
        group = "empty" if area == 0 else "lesion" if area >= config.min_lesion_px else "small"
        values = {name: getattr(counts, name) for name in METRICS}
        predicted = counts.true_positive + counts.false_positive
        names = dict(zip(("case", "patient", "label"), identity, strict=True))
        areas = {"reference_px": area, "predicted_px": predicted, "marked": float(predicted > 0)}
        rows.append({**names, "group": group, **areas, **values})
    table = pd.DataFrame(rows)
    if predictions.labels is not None and predictions.label_probabilities is not None:
        table["label_true"] = predictions.labels
        table["label_predicted"] = predictions.label_probabilities.argmax(axis=1)
        table["label_probability"] = predictions.label_probabilities.max(axis=1)
    return table


def summarise(scores: pd.DataFrame, config: ScoreConfig, seed: int = 0) -> dict[str, dict[str, float]]:
    """Summarise a run.

    Returns:
        {metric: {mean, low, high, cases, patients}}: the metrics of `METRICS` over cases with a lesion, and
        `false_positive_rate`: the share of empty cases with any predicted pixel. With a label head
        `label_accuracy`: the share of the cases with a label whose class was predicted. Intervals are 95% patient
        bootstraps.
    """
    lesion, empty = scores[scores["group"] == "lesion"], scores[scores["group"] == "empty"]
    columns = {name: (lesion[name], lesion["patient"]) for name in METRICS}
    columns["false_positive_rate"] = (empty["marked"], empty["patient"])
    if "label_true" in scores:
        known = scores[scores["label_true"] >= 0]
        columns["label_accuracy"] = (known["label_true"] == known["label_predicted"], known["patient"])
    return {
        name: asdict(patient_bootstrap(values.to_numpy(float), np.asarray(patients), config.bootstrap_draws, seed))
        for name, (values, patients) in columns.items()
    }


def count_groups(scores: pd.DataFrame) -> dict[str, int]:
    """Return the number of patients and of lesion, empty and small cases."""
    groups = scores["group"].value_counts()
    counts = {group: int(groups.get(group, 0)) for group in ("lesion", "empty", "small")}
    return {"patients": int(scores["patient"].nunique()), **counts}
