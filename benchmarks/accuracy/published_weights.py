"""Score published weights again on their held-out patients, next to how well the radiologists agree there.

Everything but the dataset comes from the weights' manifest: patients, readers, smallest lesion, shifts, threshold.

    python benchmarks/accuracy/published_weights.py unet_mobilenetv2_035-lidc-v1 --data data/lidc
"""

from __future__ import annotations

import argparse
import os
from itertools import combinations
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import lungzoo
from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.evaluation.predict import predict
from lungzoo.evaluation.score import score_cases, summarise
from lungzoo.evaluation.statistics import patient_bootstrap
from lungzoo.metrics.overlap import overlap
from lungzoo.models.load import resolve


def main() -> None:
    """Print the scores of the weights and of the readers on the same slices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a published name, or a path that lungzoo.load takes")
    parser.add_argument("--data", type=Path, required=True, help="the prepared dataset that they were trained on")
    arguments = parser.parse_args()
    manifest, _ = resolve(arguments.weights)
    dataset = PreparedDataset(arguments.data)
    trained_on = manifest.trained_on
    if trained_on is None or trained_on.fingerprint != dataset.fingerprint:
        parser.error(f"{arguments.data} is not the dataset that '{manifest.name}' was trained on.")
    data, score = DataConfig(**manifest.protocol["data"]), ScoreConfig(**manifest.protocol["score"])
    split = split_patients(dataset.cases, data, dataset.fingerprint)
    if split.test != trained_on.patients.test:
        parser.error("the split has other test patients than the manifest names.")
    rows = select_rows(dataset, split, data)["test"]
    pipeline = Pipeline(dataset, data, 32, View(manifest.model.in_slices))
    batches = pipeline.evaluation(rows, score.shift_px, data.split_seed)
    scores = score_cases(
        predict(lungzoo.load(arguments.weights), batches, score.threshold), dataset.cases.iloc[rows], score
    )
    for name, values in summarise(scores, score).items():
        if values["cases"] > 1:
            print(f"{manifest.name} {name}: {_shown(values)}")
    counted = rows[scores["group"].to_numpy() == "lesion"]
    for title, values in agreement(dataset, counted).items():
        known = ~np.isnan(values)
        patients = dataset.cases["patient"].to_numpy()[counted][known]
        print(f"{title}: {_shown(vars(patient_bootstrap(values[known], patients, score.bootstrap_draws, 0)))}")


def agreement(dataset: PreparedDataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the Dice of readers per slice, NaN where too few drew; a reader who drew nothing has no part in it."""
    pairwise, against = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for place, row in enumerate(rows):
        drawn = [mask for bit in range(len(dataset.mask_bits)) if (mask := (dataset.masks[row] >> bit) & 1).any()]
        if len(drawn) >= 2:
            pairwise[place] = np.mean([overlap(one > 0, other > 0).dice for one, other in combinations(drawn, 2)])
        if len(drawn) >= 3:
            votes = np.sum(drawn, axis=0, dtype=int)
            others = len(drawn) - 1
            against[place] = np.mean(
                [overlap(2 * (votes - mask) >= others, mask > 0).dice for mask in drawn]
            )  # the majority of the others: at least half of them
    return {"Two readers with each other, Dice": pairwise, "One reader with the majority of the others, Dice": against}


def _shown(values: dict[str, float]) -> str:
    interval = f"[{values['low']:.3f}, {values['high']:.3f}]"
    return f"{values['mean']:.3f} {interval}, {values['cases']} slices, {values['patients']} patients"


if __name__ == "__main__":
    main()
