"""Predict the held-out cases once, and keep everything that a report needs of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.store import PreparedDataset
from lungzoo.evaluation.curves import CANDIDATE_PROBABILITY, Curves
from lungzoo.evaluation.predict import Predictions, on_own_grid, pictures, predict
from lungzoo.evaluation.readers import reader_agreement
from lungzoo.evaluation.scans import Scan, Scans
from lungzoo.evaluation.score import score_cases
from lungzoo.metrics.contract import MaskPair, measure
from lungzoo.metrics.froc import Candidates, candidates_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """What became of a set of cases.

    Args:
        cases: a row per slice, see `score_cases`; where several readers drew also `agreement_…`, see
            `lungzoo.metrics.agreement`.
        volumes: a row per volume of neighbouring slices, with every metric in three dimensions; empty without such.
        curves: counts for calibration, other thresholds and detection.
        pictures: images, references and predicted masks of the cases, in their order.
    """

    cases: pd.DataFrame
    volumes: pd.DataFrame
    curves: Curves
    pictures: Predictions


# Gives predictions of the cases, rows of the case table, a probability for each class.
NameClasses = Callable[[Predictions, "pd.DataFrame"], Predictions]


def predicted(
    model: Any, pipeline: Pipeline, dataset: PreparedDataset, rows: np.ndarray, data: DataConfig, score: ScoreConfig
) -> Iterator[tuple[np.ndarray, Predictions]]:
    """Yield row numbers and predictions of cases on the slices' own grid, batch by batch, in their order.

    Args:
        model, pipeline, dataset, rows, data, score: see `evaluate`.
    """
    batches = pipeline.evaluation(rows, score.shift_px, data.split_seed)
    start = 0
    for batch in predict(model, batches, score.threshold):
        part = rows[start : start + len(batch)]
        start += len(batch)
        if pipeline.source.regrids:
            batch = on_own_grid(batch, pipeline.source, dataset.consensus(part, data.consensus_readers), part)
        yield part, batch


def evaluate(
    model: Any,
    pipeline: Pipeline,
    dataset: PreparedDataset,
    rows: np.ndarray,
    data: DataConfig,
    score: ScoreConfig,
    name_classes: NameClasses | None = None,
) -> Evaluation:
    """Predict and score cases on the slices' own grid, one pass; memory grows by 3 bytes with each pixel of the set.

    Args:
        model: see `predict`.
        pipeline: of the dataset, with the settings of the run.
        dataset: the opened dataset.
        rows: row numbers of the cases.
        data, score: of the run.
        name_classes: of a second stage; None where the model names classes itself, or nothing does.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    counts: list[Curves] = []
    kept: list[Predictions] = []
    scans = Scans()
    for part, batch in predicted(model, pipeline, dataset, rows, data, score):
        cases = dataset.cases.iloc[part]
        if name_classes is not None:
            batch = name_classes(batch, cases)
        table = score_cases(batch, cases, score)
        if len(dataset.mask_bits) > 1:
            seen = (data.consensus_readers, score.shift_px, data.split_seed)
            table = table.join(reader_agreement(batch.masks, dataset, part, *seen))
        tables.append(table)
        probabilities = _probabilities(batch)
        trios = zip(probabilities, batch.references, batch.masks, strict=True)
        counts.append(reduce(add, (Curves.of(*trio, score.min_lesion_px) for trio in trios)))
        if not score.shift_px:  # slices that were moved apart make no volume
            scans.add(cases, probabilities, batch.references, batch.masks)
        kept.append(replace(batch, probabilities=None))
    rows_of_scans, candidates = _score_scans(scans)
    curves = replace(reduce(add, counts), volumes=candidates)
    return Evaluation(pd.concat(tables, ignore_index=True), pd.DataFrame(rows_of_scans), curves, pictures(kept))


def _score_scans(scans: Scans) -> tuple[list[dict[str, Any]], tuple[Candidates, ...]]:
    rows, candidates = [], []
    for scan in scans:
        candidates.append(candidates_of(scan.probability, scan.reference, CANDIDATE_PROBABILITY))
        rows.append(_scan_row(scan))
    return rows, tuple(candidates)


def _scan_row(scan: Scan) -> dict[str, Any]:
    spacing = scan.spacing_mm if all(map(math.isfinite, scan.spacing_mm)) else None
    pair = MaskPair(scan.reference, scan.mask, spacing)
    sizes = {"slices": len(scan.mask), "reference_voxels": pair.reference_px, "predicted_voxels": pair.prediction_px}
    return {"volume": scan.volume, "patient": scan.patient, **sizes, **measure(pair)}


def _probabilities(batch: Predictions) -> np.ndarray:
    if batch.probabilities is None:
        raise ValueError("Predictions without probabilities cannot be evaluated. Take them from `predict`.")
    return batch.probabilities
