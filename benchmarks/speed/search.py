"""What does a hyperparameter search cost beside the training of its trials?

    python benchmarks/speed/search.py runs/tune-NAME
    python benchmarks/speed/search.py --trials 20 --epochs 8

The first reads what a search left, the second runs one on a phantom, in a folder of its own. Prints the time of the
search from its start to its last result, and which part of it is

- training: epochs with their validation, as MLflow's usage/train_seconds has it;
- the rest of the runs: building and tracing models, checkpoints, records in MLflow;
- the search's own: starting processes, proposing trials, keeping state.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lungzoo.search.outcome import Outcome, Outcomes

SPACE = """
name = "phantom"
title = "A small space"

[parameters."train.learning_rate"]
low = 1e-3
high = 1e-1
scale = "log"

[parameters."model.decoder_attention"]
choices = ["none", "scse"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("search", type=Path, nargs="?", help="folder of a search")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    if arguments.search:
        report(arguments.search)
        return
    with tempfile.TemporaryDirectory() as scratch:
        report(run(Path(scratch), arguments.trials, arguments.epochs))


def run(folder: Path, trials: int, epochs: int) -> Path:
    """Search on a phantom; returns the folder of the search."""
    (folder / "phantom.toml").write_text(SPACE)
    command = [sys.executable, "-m", "lungzoo"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    data = [*command, "data", "phantom", "data", "--patients", "60"]
    search = [*command, "tune", "run", "phantom.toml", "--model", "unet_mobilenetv2", "--data", "data", "--name", "s"]
    search += ["--tuner", "random", "--trials", str(trials), "--epochs", str(epochs)]
    search += ["--set", "model.encoder_options.alpha=0.35", "--set", "model.encoder_depth=4"]
    for words in (data, search):
        subprocess.run(words, cwd=folder, env=environment, check=True)
    return folder / "runs" / "tune-s"


def report(folder: Path) -> None:
    """Print where the time of a search went."""
    outcomes = Outcomes(folder).all()
    wall = float(json.loads((folder / "seconds.json").read_text())["seconds"])
    training = sum(outcome.train_seconds for outcome in outcomes)
    runs = sum(outcome.seconds for outcome in outcomes)
    print(f"{folder.name}: {len(outcomes)} trials, {sum(outcome.epochs for outcome in outcomes)} epochs, {wall:.0f} s")
    print(f"  training:          {training:7.0f} s, {training / wall:6.1%}")
    half = len(outcomes) // 2
    halves = f"{_each(outcomes[:half]):.1f} s in the first half, {_each(outcomes[half:]):.1f} s in the second"
    rest = f"{(runs - training) / wall:6.1%}, {_each(outcomes):.1f} s a trial ({halves})"
    print(f"  rest of the runs:  {runs - training:7.0f} s, {rest}")
    print(f"  the search's own:  {wall - runs:7.0f} s, {(wall - runs) / wall:6.1%}")
    print(f"  overhead on training: {wall / training - 1:.1%} (target: at most 3%)")


def _each(outcomes: list[Outcome]) -> float:
    return sum(outcome.seconds - outcome.train_seconds for outcome in outcomes) / max(len(outcomes), 1)


if __name__ == "__main__":
    main()
