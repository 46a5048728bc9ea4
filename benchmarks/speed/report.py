"""How long does the report of a large suite take, and how much memory?

Records runs that never took place in a local MLflow store: arms × seeds, with per-case results of skewed Dice that
patients and seeds spread, histories, curves of probabilities and overlays. Then `lungzoo bench report` reads them back
in a process of its own, once for each rendering.

    python benchmarks/speed/report.py --arms 60 --seeds 5 --cases 800
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")

import numpy as np
import pandas as pd

from lungzoo.config import ExperimentConfig
from lungzoo.evaluation.curves import Curves
from lungzoo.evaluation.score import slice_metrics
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.tracking.mlflow_tracker import MlflowTracker
from lungzoo.tracking.record import PlannedRun, RunRecord, SuitePlan

SUITE = """name = "large"
title = "A large suite"
seeds = [0]
[[arms]]
models = ["unet_mobilenetv2"]
transfers = ["scratch"]
"""
DATASET = {
    "name": "simulated", "title": "Simulated results", "licence": "CC0-1.0", "citation": "", "reader": "none",
    "fingerprint": "0" * 64, "slices": 6000, "patients": 900,
}  # fmt: skip
SPLIT = {
    "fingerprint": "1" * 64, "split_seed": 0, "scheme": "random", "grouping": "patient", "leakage": "",
    "patients": {"train": 600, "val": 150, "test": 150}, "slices": {"train": 4000, "val": 1000, "test": 800},
}  # fmt: skip


def main() -> None:
    arguments = read_arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.keep or name)
        folder.mkdir(exist_ok=True)
        if not (folder / "large.toml").exists():
            record_suite(folder, arguments)
            print(f"{arguments.arms * arguments.seeds} records × {arguments.cases} cases written", flush=True)
        for rendering in arguments.to:
            seconds, cpu, peak_mb, size = report(folder, rendering)
            took = f"{seconds:.1f} s, {cpu:.1f} s of CPU, peak {peak_mb:.0f} MB"
            print(f"  --to {rendering}: {took}, {size / 1e6:.2f} MB written", flush=True)


def report(folder: Path, rendering: str) -> tuple[float, float, float, int]:
    """Run the command in a process of its own; returns seconds, CPU seconds, peak memory in MB, bytes written."""
    command = [sys.executable, "-m", "lungzoo", "bench", "report", str(folder / "large.toml"), "--to", rendering]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, after.ru_maxrss * 1024 / 1e6, len(done.stdout)


def record_suite(folder: Path, arguments: argparse.Namespace) -> None:
    (folder / "large.toml").write_text(SUITE)
    tracker = MlflowTracker("large", f"sqlite:///{folder}/mlflow.db")
    rng = np.random.default_rng(0)
    cases = make_cases(rng, arguments.cases, arguments.patients)
    level = cases.groupby("patient")["z"].transform(lambda column: rng.normal(0, 0.6)).to_numpy()
    planned = [make_run(arm, seed) for arm in range(arguments.arms) for seed in range(arguments.seeds)]
    suite = tracker.open_suite(SuitePlan("large", "A large suite", "", "dice", DATASET, tuple(planned)), fresh=True)
    for number, run in enumerate(planned):
        skill = 1.4 + 0.02 * (number // arguments.seeds) + rng.normal(0, 0.02)
        scores = cases.assign(**make_scores(rng, skill + level))
        finish(tracker, run, suite, scores, folder / "outbox", rng)
    tracker.close_suite(suite, "finished", "")


def make_run(arm: int, seed: int) -> PlannedRun:
    config = ExperimentConfig(model={"name": "unet_mobilenetv2"}, train={"train_seed": seed}, label=f"arm {arm:02d}")
    return PlannedRun(f"{arm:032d}{seed:032d}", config.arm, seed, config.model_dump(mode="json"))


def make_cases(rng: np.random.Generator, cases: int, patients: int) -> pd.DataFrame:
    owner = np.sort(rng.integers(0, patients, cases))
    area = rng.lognormal(4, 0.8, cases)
    return pd.DataFrame({
        "case": [f"case-{number}" for number in range(cases)], "patient": [f"patient-{each}" for each in owner],
        "volume": [f"volume-{each}" for each in owner], "z": np.arange(cases),
        "label": np.where(rng.random(cases) < 0.5, "benign", "malignant"),
        "group": np.where(rng.random(cases) < 0.9, "lesion", "empty"),
        "reference_px": (area * 2).astype(int), "predicted_px": 40, "reference_mm2": area,
    })  # fmt: skip


def make_scores(rng: np.random.Generator, level: np.ndarray) -> dict[str, np.ndarray]:
    """Return every metric of each case; what they are called matters here, not what they mean."""
    return {
        metric.name: 1 / (1 + np.exp(-level - rng.normal(0, 0.8, len(level)))) for metric in slice_metrics()
    } | {"agreement_model_readers": rng.random(len(level)), "agreement_readers_pairwise": rng.random(len(level)),
         "agreement_model_rest": rng.random(len(level)), "agreement_reader_rest": rng.random(len(level))}  # fmt: skip


def finish(tracker, run: PlannedRun, suite: str, scores: pd.DataFrame, folder: Path, rng: np.random.Generator) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    scores.to_csv(folder / "per_case.csv", index=False)
    history = [{"loss": 1 / (epoch + 1), "val_dice": 0.8 - 0.5 / (epoch + 1), "seconds": 9.0} for epoch in range(20)]
    (folder / "history.json").write_text(json.dumps(history))
    (folder / "curves.json").write_text(json.dumps(make_curves(rng, len(scores)).to_dict()))
    Image.fromarray(rng.integers(0, 255, (300, 350, 3), dtype=np.uint8)).save(folder / "overlays.png")
    values = scores["dice"].to_numpy()
    record = RunRecord(
        run.fingerprint, run.arm, run.seed, "finished", config=run.config, dataset=DATASET, split=SPLIT,
        metrics={"dice": {"mean": float(values.mean()), "low": 0.5, "high": 0.9, "cases": 1, "patients": 1}},
        counts={"patients": 150, "lesion": int((scores["group"] == "lesion").sum()), "empty": 0, "small": 0},
        pooled={"dice": 0.8}, curves={"brier": 0.01}, metrics_version=METRICS_VERSION,
        validation={"epoch": 20, "epochs": 20, "val_dice": float(values.mean())},
        cost={"params": 1e6 * (1 + run.seed), "inference_ms": 5.0, "train_seconds": 100.0, "peak_memory_mb": 900.0},
        environment={"machine": "none", "packages": {}},
    )  # fmt: skip
    record.save(folder / "record.json")
    tracker.finish_run(tracker.start_run(record, suite, None), record, history, folder)


def make_curves(rng: np.random.Generator, cases: int) -> Curves:
    """Return the counts of a few small slices, and candidates for as many slices as there are cases."""
    from dataclasses import replace

    reference = np.zeros((32, 32), bool)
    reference[10:20, 10:20] = True
    probability = np.clip(0.7 * reference + 0.25 * rng.random((32, 32)), 0, 1)
    one = Curves.of(probability, reference, probability >= 0.5, 1)
    return replace(one, slices=one.slices * cases)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cases", type=int, default=800)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--to", nargs="+", default=["text", "html"])
    parser.add_argument("--keep", help="folder for the store, to measure it again; a temporary one otherwise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
