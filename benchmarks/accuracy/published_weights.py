"""Score published weights again on their held-out patients, next to how well the radiologists agree there.

Everything but the dataset comes from the weights' manifest: patients, readers, smallest lesion, shifts, threshold.

    python benchmarks/accuracy/published_weights.py unet_mobilenetv2_035-lidc-v1 --data data/lidc
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import lungzoo
from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.evaluation.evaluate import evaluate
from lungzoo.evaluation.score import summarise
from lungzoo.models.load import resolve
from lungzoo.statistics.bootstrap import patient_bootstrap

AGREEMENT = {
    "agreement_model_readers": "The model with each reader",
    "agreement_readers_pairwise": "Two readers with each other",
    "agreement_model_rest": "The model with the majority of all readers but one",
    "agreement_reader_rest": "One reader with the majority of the others",
}


def main() -> None:
    """Print the scores of the weights and of the readers on the same slices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a published name, or a path that lungzoo.load takes")
    parser.add_argument("--data", type=Path, required=True, help="the prepared dataset that they were trained on")
    arguments = parser.parse_args()
    manifest, _ = resolve(arguments.weights)
    dataset = PreparedDataset(arguments.data)
    trained_on = manifest.trained_on
    if trained_on is None:
        parser.error(f"nothing is known of the patients of '{manifest.name}'.")
    data, score = DataConfig(**manifest.protocol["data"]), ScoreConfig(**manifest.protocol["score"])
    split = split_patients(dataset.cases, data, dataset.fingerprint)
    if split.test != trained_on.patients.test:
        parser.error(f"{arguments.data} has other test patients than '{manifest.name}' was held out from.")
    if trained_on.fingerprint != dataset.fingerprint:
        print(f"{dataset.name} was imported by another version of lungzoo; its test patients are the same.")
    rows = select_rows(dataset, split, data)["test"]
    pipeline = Pipeline(dataset, data, 32, View(manifest.model.in_slices))
    scores = evaluate(lungzoo.load(arguments.weights), pipeline, dataset, rows, data, score).cases
    for name, values in summarise(scores, score).items():
        if values["cases"] > 1:
            print(f"{manifest.name} {name}: {_shown(values)}")
    lesions = scores[scores["group"] == "lesion"]
    for column, title in AGREEMENT.items():
        if column in lesions:
            interval = patient_bootstrap(
                lesions[column].to_numpy(), lesions["patient"].to_numpy(str), score.bootstrap_draws, 0
            )
            print(f"{title}, Dice: {_shown(vars(interval))}")


def _shown(values: dict[str, float]) -> str:
    interval = f"[{values['low']:.3f}, {values['high']:.3f}]"
    return f"{values['mean']:.3f} {interval}, {values['cases']} slices, {values['patients']} patients"


if __name__ == "__main__":
    main()
