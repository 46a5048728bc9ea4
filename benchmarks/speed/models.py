"""How fast are the U-Nets next to those of segmentation_models?

Trains and applies lungzoo's `unet` and `lite` and the library's `Unet` on the same encoder, of random weights, with the
same loss, optimiser, batch and widths, in one process and in turn, and prints ratios of images per second: above 1
lungzoo is faster. lungzoo's models see one channel, the library's three copies of it, which were made beforehand. Run
it on an idle machine:

    python benchmarks/speed/models.py --encoder mobilenetv2 resnet18
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("SM_FRAMEWORK", "tf.keras")

import keras
import numpy as np

import lungzoo
from lungzoo.config import TrainConfig
from lungzoo.losses.combine import make_loss
from lungzoo.training.optim import make_optimizer

WIDTHS = (256, 128, 64, 32, 16)
WARM_UP_ROUNDS = 2
TARGETS = {"unet": 1.0, "lite": 1.5}
Times = dict[str, list[float]]


def main() -> None:
    arguments = read_arguments()
    library = load_library()
    if library is None:
        print("segmentation-models is not installed, so there is nothing to compare with: lungzoo's own speed follows.")
    for encoder in arguments.encoder:
        compare(encoder, library, arguments)


def load_library() -> Any:
    """Import segmentation_models; None where it is not installed."""
    try:
        import segmentation_models
    except ImportError:
        return None
    return segmentation_models


def compare(encoder: str, library: Any, arguments: argparse.Namespace) -> None:
    """Time the models of one encoder in turn and print what came out."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    image, mask = make_batch(arguments.batch, arguments.size)
    models = {
        "unet": (lungzoo.create_model(f"unet_{encoder}", decoder_channels=WIDTHS), image),
        "lite": (lungzoo.create_model(f"lite_{encoder}"), image),
    }
    if library is not None:
        try:
            theirs = library.Unet(
                encoder,
                input_shape=(None, None, 3),
                activation="linear",
                encoder_weights=None,
                decoder_filters=WIDTHS,
            )
        except KeyError:
            print(f"segmentation_models has no backbone '{encoder}'.")
        else:
            models["theirs"] = (theirs, np.repeat(image, 3, axis=-1))
    training, inference = timed(models, mask, arguments)
    print(f"\n{encoder}, batches of {arguments.batch} × {arguments.size} × {arguments.size}, {arguments.rounds} rounds")
    for name, (model, _) in models.items():
        trained, applied = (arguments.batch / statistics.median(times[name]) for times in (training, inference))
        print(
            f"  {name:7} {model.count_params():>12,} parameters, {trained:7.1f} images/s trained, {applied:.1f} applied"
        )
    for name in TARGETS:
        if "theirs" in models:
            print(f"  {name} / theirs: training {ratio(training, name)}, inference {ratio(inference, name)}", end="")
            print(f" (target {TARGETS[name]})", flush=True)


def timed(models: dict[str, Any], mask: np.ndarray, arguments: argparse.Namespace) -> tuple[Times, Times]:
    """Return seconds per batch of training and of inference, one per counted round and model."""
    for model, _ in models.values():
        loss, optimizer = make_loss(TrainConfig().loss), make_optimizer(TrainConfig(), 100, 1)
        model.compile(optimizer, loss, jit_compile=False)
    training, inference = defaultdict(list), defaultdict(list)
    order = list(models)
    for round_number in range(-WARM_UP_ROUNDS, arguments.rounds):
        for name in order:
            model, image = models[name]
            trained_s = step_s(lambda model=model, image=image: model.train_on_batch(image, mask), arguments.steps)
            applied_s = step_s(lambda model=model, image=image: model.predict_on_batch(image), arguments.steps)
            if round_number >= 0:
                training[name].append(trained_s)
                inference[name].append(applied_s)
        order.append(order.pop(0))
    return training, inference


def step_s(step: Callable[[], Any], steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def ratio(times: Times, name: str) -> str:
    """Say how many times faster than the library, as the median over rounds and its range."""
    ratios = [theirs / ours for theirs, ours in zip(times["theirs"], times[name], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def make_batch(batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return grey images of noise with a brighter disc each, and the masks of the discs."""
    random = np.random.default_rng(0)
    y, x = np.ogrid[:size, :size]
    centres = random.uniform(0.25, 0.75, (batch, 2)) * size
    mask = np.stack([(y - row) ** 2 + (x - column) ** 2 < (size / 10) ** 2 for row, column in centres])
    mask = mask[..., np.newaxis].astype(np.float32)
    return np.clip(0.3 * random.random(mask.shape, np.float32) + 0.5 * mask, 0, 1), mask


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", nargs="+", default=["mobilenetv2", "resnet18"])
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12, help="counted rounds")
    parser.add_argument("--steps", type=int, default=4, help="batches per round and model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
