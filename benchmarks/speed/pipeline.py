"""Does the input pipeline hold training back?

Fits one model on the real pipeline and on one constant in-memory batch, epoch by epoch in turn, and prints the ratio of
wall times. Run it on an idle machine:

    python benchmarks/speed/pipeline.py --data data/lidc
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lungzoo.config import ExperimentConfig, PhantomConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.losses.combine import make_loss
from lungzoo.models.assemble import build_model
from lungzoo.schema import parse
from lungzoo.suites.builtin import phantom_dataset
from lungzoo.training.optim import make_optimizer
from lungzoo.training.seeding import prepared


def main() -> None:
    arguments = read_arguments()
    dataset = PreparedDataset(arguments.data) if arguments.data else phantom_dataset(PhantomConfig(patients=60))
    config = make_config(arguments)
    split = split_patients(dataset.cases, config.data, dataset.fingerprint)
    rows = select_rows(dataset, split, config.data)["train"][: arguments.steps * config.train.batch_size]
    pipeline = Pipeline(dataset, config.data, config.train.batch_size)
    steps = pipeline.steps_per_epoch(rows)
    with prepared(config.train):
        model = build_model(config.model)
        model.compile(make_optimizer(config.train, steps, arguments.pairs), make_loss(config.train.loss))
    print(f"{config.arm} on {dataset.name}: {steps} steps of {config.train.batch_size} slices per epoch")
    ratios = compare(model, pipeline, rows, config, steps, arguments.pairs)
    median = statistics.median(ratios)
    print(f"real / constant: median {median:.3f}, min {min(ratios):.3f}, max {max(ratios):.3f} ({len(ratios)} pairs)")
    print(f"The pipeline adds {100 * (median - 1):+.1f}% to an epoch. Target: within 5%.")


def compare(model, pipeline, rows, config, steps, pairs) -> list[float]:
    """Time one epoch of each kind in turn; the first pair warms up and does not count."""
    import tensorflow as tf

    batch = next(iter(batches(pipeline, rows, config, 0)))
    constant = tf.data.Dataset.from_tensors(batch).repeat(steps).prefetch(2)
    ratios = []
    for pair in range(pairs + 1):
        real_s = epoch_s(model, batches(pipeline, rows, config, pair), steps)
        constant_s = epoch_s(model, constant, steps)
        if pair:
            ratios.append(real_s / constant_s)
            print(
                f"  pair {pair}: real {real_s:.2f} s, constant {constant_s:.2f} s, ratio {ratios[-1]:.3f}", flush=True
            )
    return ratios


def batches(pipeline, rows, config, epoch: int):
    """Return one epoch's images and masks; a third entry would weigh the cases."""
    return pipeline.training(rows, config.augment, 0, epoch, epoch + 1).map(lambda image, mask, label: (image, mask))


def epoch_s(model, dataset, steps: int) -> float:
    began = time.perf_counter()
    model.fit(dataset, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)
    return time.perf_counter() - began


def make_config(arguments: argparse.Namespace) -> ExperimentConfig:
    options = {"alpha": 0.35} if arguments.model == "unet_mobilenetv2" else {}
    values = {
        "augment": {"shift_px": 24},
        "model": {
            "name": arguments.model,
            "encoder_options": options,
            "encoder_depth": 4,
            "decoder_channels": [64, 48, 32, 16],
            "decoder_convs": 1,
        },
        "train": {"batch_size": arguments.batch_size, "learning_rate": 1e-4},
    }
    return parse(ExperimentConfig, values, "speed/pipeline.py")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="prepared dataset; default: a phantom")
    parser.add_argument("--model", default="unet_mobilenetv2")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="steps per epoch, at most")
    parser.add_argument("--pairs", type=int, default=7, help="counted pairs of epochs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
