"""What does recording cost, and do MLflow's pages stay readable with 300 runs?

Fills a store with a made-up suite of 25 arms × 4 seeds × 3 folds through the real tracker, prints what a run and the
closing of the suite took, and leaves the store to be looked at:

    python benchmarks/speed/mlflow_store.py store300
    cd store300 && lungzoo ui

Scores are drawn at random and the weights are no network's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungzoo.config import ExperimentConfig
from lungzoo.evaluation.score import count_groups, slice_metrics, summarise
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.models.zoo import MODELS
from lungzoo.suites.report.report import build_report
from lungzoo.suites.report.summary import summarise_suite
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan

ENCODERS = ("mobilenetv2", "resnet50", "densenet121", "efficientnetb0", "vgg16")
TRANSFERS = ("scratch", "imagenet-frozen", "imagenet-finetune", "imagenet-gradual", "imagenet-discriminative")
SEEDS, FOLDS = range(4), range(3)
EPOCHS, PATIENTS, SLICES = 20, 20, 12
DATASET = {
    "name": "made-up", "title": "Made up", "reader": "phantom", "licence": "CC0-1.0", "citation": "Nobody",
    "fingerprint": "d" * 64, "slices": 720, "patients": 60,
}  # fmt: skip
SPLIT = {
    "fingerprint": "s" * 64, "split_seed": 0, "scheme": "random", "grouping": "patient", "leakage": "",
    "patients": {"train": 32, "val": 8, "test": 20}, "slices": {"train": 384, "val": 96, "test": 240},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the store goes")
    parser.add_argument("--arms", type=int, default=25, help="how many of the 25 arms")
    parser.add_argument("--uri", help="another store, such as a server; FOLDER then stays empty")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tracker = MlflowTracker("made-up-v1", arguments.uri or f"sqlite:///{arguments.folder.resolve()}/mlflow.db")
    plan = make_plan(arguments.arms)
    suite_id = tracker.open_suite(plan, fresh=False)
    rng = np.random.default_rng(0)
    taken = [record_run(tracker, suite_id, planned, number, rng) for number, planned in enumerate(plan.runs)]
    say("starting a run", [seconds[0] for seconds in taken])
    say("an epoch", [seconds[1] / EPOCHS for seconds in taken])
    say("finishing a run", [seconds[2] for seconds in taken])
    report, seconds = timed(lambda: build_report(plan, tracker, draws=1000))
    say("the report", [seconds])
    summary = summarise_suite(report)
    note, seconds = timed(lambda: tracker.close_suite(suite_id, "finished", summary))
    say("closing the suite", [seconds])
    print(note)
    print(f"{len(summary.metrics)} figures in the parent run; {size_mb(arguments.folder):.0f} MB in {arguments.folder}")


def make_plan(arms: int) -> SuitePlan:
    pairs = [(f"unet_{encoder}", transfer) for encoder in ENCODERS for transfer in TRANSFERS][:arms]
    runs = []
    for model, transfer in pairs:
        for seed in SEEDS:
            for fold in FOLDS:
                config = ExperimentConfig(
                    model={"name": model},
                    transfer=transfer,
                    train={"train_seed": seed, "epochs": EPOCHS},
                    data={"folds": len(FOLDS), "fold": fold},
                )
                values = config.model_dump(mode="json")
                runs.append(PlannedRun(config.fingerprint(DATASET["fingerprint"]), config.arm, seed, values))
    return SuitePlan("made-up-v1", "A made-up suite", "", "dice", DATASET, tuple(runs))


def record_run(tracker: MlflowTracker, suite_id: str, planned: PlannedRun, number: int, rng: Any) -> list[float]:
    """Record one run and return how long its start, its epochs and its end took; one in fifty fails."""
    spec = MODELS.get(planned.config["model"]["name"])
    record = RunRecord(
        planned.fingerprint, planned.arm, planned.seed, "failed", config=planned.config, dataset=DATASET, split=SPLIT,
        parts={"encoder": spec.encoder, "decoder": spec.decoder}, started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        outbox, history = Path(folder), []
        if number % 50 == 17:
            record = replace(record, reason="out of memory. Lower train.batch_size or choose a smaller model.")
        else:
            level = 0.55 + 0.03 * (number // (len(SEEDS) * len(FOLDS)) % 5) + rng.normal(0, 0.02)
            record, history = make_results(record, level, outbox, rng)
        record.save(outbox / "record.json")
        run_id, started = timed(lambda: tracker.start_run(record, suite_id, None))
        _, epochs = timed(lambda: [tracker.log_epoch(run_id, epoch, row) for epoch, row in enumerate(history)])
        _, ended = timed(lambda: tracker.finish_run(run_id, record, history, outbox))
        return [started, epochs, ended]


def make_results(record: RunRecord, level: float, outbox: Path, rng: Any) -> tuple[RunRecord, list[dict[str, float]]]:
    cases = make_cases(record.fold or 0, level, rng)
    cases.to_csv(outbox / "per_case.csv", index=False)
    curve = level * (1 - np.exp(-np.arange(1, EPOCHS + 1) / 4))
    history = [
        {"loss": 1.2 - dice, "dice": dice + 0.05, "val_loss": 1.3 - dice, "val_dice": dice, "seconds": 31.0}
        for dice in np.clip(curve + rng.normal(0, 0.01, EPOCHS), 0, 1).tolist()
    ]
    best = int(np.argmax([row["val_dice"] for row in history]))
    config = ExperimentConfig.model_validate(record.config)
    (outbox / "history.json").write_text(json.dumps(history))
    write_fake_weights(outbox / "weights", record, rng)
    finished = replace(
        record,
        status="finished",
        metrics=summarise(cases, config.score.model_copy(update={"bootstrap_draws": 100})),
        counts=count_groups(cases),
        metrics_version=METRICS_VERSION,
        validation={"epoch": best + 1, "epochs": EPOCHS, "val_dice": history[best]["val_dice"]},
        cost={
            "params": 12e6, "trainable_params": 5e6, "gmacs": 8.1, "inference_ms": float(rng.normal(41, 3)),
            "weights_mb": 48.0, "train_seconds": 640.0, "seconds_per_epoch": 31.0, "peak_memory_mb": 3200.0,
        },
    )  # fmt: skip
    return finished, history


def make_cases(fold: int, level: float, rng: Any) -> pd.DataFrame:
    """Return per-case results; how hard a case is does not depend on the arm."""
    hard = np.random.default_rng(fold).normal(0, 0.1, PATIENTS * SLICES)
    score = np.clip(level + hard + rng.normal(0, 0.03, len(hard)), 0, 1)
    patients = [f"F{fold}P{number // SLICES:02d}" for number in range(len(hard))]
    table = pd.DataFrame(
        {"case": [f"{patient}/{number % SLICES}" for number, patient in enumerate(patients)], "patient": patients,
         "volume": patients, "z": [number % SLICES for number in range(len(hard))], "label": "",
         "group": np.where(np.arange(len(hard)) % 4 == 3, "empty", "lesion"), "reference_px": 60, "predicted_px": 55,
         "reference_mm2": 29.5}
    )  # fmt: skip
    for metric in slice_metrics():
        counts = table["group"] == ("empty" if metric.over == "empty" else "lesion")
        table[metric.name] = np.where(counts, score if metric.share else 20 * (1 - score), np.nan)
    return table


def write_fake_weights(folder: Path, record: RunRecord, rng: Any) -> None:
    """Write numbers with a manifest: enough to be registered, not to be loaded."""
    folder.mkdir()
    np.savez(folder / "weights.npz", kernel=rng.normal(size=1000).astype(np.float32))
    content = (folder / "weights.npz").read_bytes()
    manifest = {
        "name": f"run-{record.fingerprint[:12]}", "model": record.config["model"], "file": "weights.npz",
        "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def say(what: str, seconds: list[float]) -> None:
    spread = f", {min(seconds):.3f} to {max(seconds):.3f} s over {len(seconds)}" if len(seconds) > 1 else ""
    print(f"{what}: {statistics.median(seconds):.3f} s{spread}", flush=True)


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
