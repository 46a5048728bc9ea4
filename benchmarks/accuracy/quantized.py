"""What does storing weights in fewer bits cost? Exports of published weights, scored on their held-out patients.

Each kind is exported by `lungzoo.export`, read by what others read it with, and predicts the slices of the test split
as they come; int8 is fitted to the training split. Differences are paired by slice, their intervals resample patients.

    python benchmarks/accuracy/quantized.py unet_mobilenetv2_035-lidc-v1 --data data/lidc
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from lungzoo.config import ScoreConfig
from lungzoo.data.pipeline import Pipeline, View
from lungzoo.data.splits.split import select_rows, split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.evaluation.evaluate import evaluate
from lungzoo.export.contract import EXPORT_FORMATS
from lungzoo.export.export import Exported, Request, export_weights
from lungzoo.inference.members import open_members
from lungzoo.inference.predictor import Predictor
from lungzoo.statistics.paired import compare

KINDS = (("litert", None), ("litert", "float16"), ("litert", "int8"), ("npz", "float16"))
BATCH = 32


class FromFile:
    """A file as `evaluate` takes a model.

    Args:
        run: answers a batch.
    """

    def __init__(self, run: Callable[[np.ndarray], dict[str, np.ndarray]]) -> None:
        self._run = run

    def predict_on_batch(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Return the logits by head."""
        return self._run(batch)


def opened(kind: str, path: Path) -> Any:
    """Open an exported file once for many batches."""
    if kind == "npz":
        import lungzoo

        return lungzoo.load(path)
    return FromFile(lambda batch: EXPORT_FORMATS.get(kind).run(path, batch))


def exports(predictor: Predictor, data: Path, folder: Path) -> dict[str, tuple[str, Exported]]:
    """Export every kind; returns {name: (format, what was made)}."""
    made = {}
    for kind, quantise in KINDS:
        name = f"{kind} {quantise or 'float32'}"
        out = folder / f"{name.replace(' ', '-')}{EXPORT_FORMATS.get(kind).suffix}"
        made[name] = kind, export_weights(predictor, Request(kind, out, None, quantise, data))
    return made


def main() -> None:
    """Print mean Dice of each kind, and its paired difference from lungzoo's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a published name, run:ID, or a path that lungzoo.load takes")
    parser.add_argument("--data", type=Path, required=True, help="the prepared dataset that they were trained on")
    parser.add_argument("--slices", type=int, help="take only so many, at equal distances")
    arguments = parser.parse_args()
    with open_members([arguments.weights]) as (predictor,), tempfile.TemporaryDirectory() as scratch:
        dataset, data = PreparedDataset(arguments.data), predictor.protocol.data
        rows = select_rows(dataset, split_dataset(dataset, data), data)["test"]
        trained_on = predictor.manifest.trained_on
        if trained_on is None or not set(dataset.cases["patient"].iloc[rows]) <= set(trained_on.patients.test):
            parser.error(f"{arguments.data} has other test patients than the weights were held out from.")
        if arguments.slices:
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, arguments.slices).round().astype(int))]
        report(predictor, dataset, rows, exports(predictor, arguments.data, Path(scratch)))


def report(
    predictor: Predictor, dataset: PreparedDataset, rows: np.ndarray, made: dict[str, tuple[str, Exported]]
) -> None:
    """Score the model and its exports on the same slices, and print how they differ."""
    values = {"lungzoo": dice(predictor, predictor.model, dataset, rows)}
    for name, (kind, exported) in made.items():
        values[name] = dice(predictor, opened(kind, exported.place.out), dataset, rows)
    patients = dataset.cases["patient"].iloc[rows].to_numpy(str)
    found = compare([each[None] for each in values.values()], patients)
    print(f"{predictor.manifest.name}: {found.cases} slices with a lesion, {found.patients} patients")
    print(f"lungzoo: Dice {np.nanmean(values['lungzoo']):.4f}")
    for number, (name, (_, exported)) in enumerate(made.items()):
        # Pairs begin with those of the first arm; turned round, a minus is a cost.
        difference, low, high = -found.difference[number], -found.high[number], -found.low[number]
        print(
            f"{name}: Dice {np.nanmean(values[name]):.4f}, difference {difference:+.5f} [{low:+.5f}, {high:+.5f}], "
            f"{exported.size_bytes / 1e6:.2f} MB, probabilities differ by up to {exported.agreement.probability:.2g}"
        )


def dice(predictor: Predictor, model: Any, dataset: PreparedDataset, rows: np.ndarray) -> np.ndarray:
    """Return the Dice of each slice; NaN where it has no lesion."""
    data, manifest = predictor.protocol.data, predictor.manifest
    score = ScoreConfig(**{**manifest.protocol.get("score", {}), "shift_px": 0})
    view = View(manifest.model.in_slices, predictor.is_3d)
    pipeline = Pipeline(dataset, data, BATCH, view, predictor.protocol.statistics)
    cases = evaluate(model, pipeline, dataset, rows, data, score).cases
    return np.where(cases["group"] == "lesion", cases["dice"], np.nan)


if __name__ == "__main__":
    main()
