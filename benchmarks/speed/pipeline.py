"""How fast is the input pipeline, and does it hold training back?

For each image side prints three figures, each the median of interleaved measurements:

- images/s of the pipeline alone;
- its throughput against a plain tf.data pipeline that reads PNG pairs from disk and makes the same changes, with
  TensorFlow's operations one by one, to one image at a time;
- the time of an epoch on the real pipeline against one on a constant in-memory batch, same model.

    python benchmarks/speed/pipeline.py --sides 128 256 512 --preset medium

The data is a phantom unless `--data` names a prepared dataset.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from lungzoo.config import ExperimentConfig, PhantomConfig
from lungzoo.data.augment import Augmentation
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.preprocess.grey import Scaling
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.losses.combine import make_loss
from lungzoo.models.assemble import build_model
from lungzoo.schema import parse
from lungzoo.suites.builtin import phantom_dataset
from lungzoo.training.optim import make_optimizer
from lungzoo.training.seeding import prepared

_HU_OFFSET = 32768


def main() -> None:
    arguments = read_arguments()
    if arguments.data:
        measure(PreparedDataset(arguments.data), arguments)
        return
    for side in arguments.sides:
        measure(phantom_dataset(PhantomConfig(patients=arguments.patients, size_px=side)), arguments)


def measure(dataset: PreparedDataset, arguments: argparse.Namespace) -> None:
    config = make_config(arguments)
    split = split_patients(dataset.cases, config.data, dataset.fingerprint)
    rows = select_rows(dataset, split, config.data)["train"][: arguments.steps * config.train.batch_size]
    pipeline = Pipeline(dataset, config.data, config.train.batch_size)
    steps = pipeline.steps_per_epoch(rows)
    side = dataset.images.shape[1]
    print(f"{side}², {dataset.name}, preset {arguments.preset}: {steps} steps of {config.train.batch_size}", flush=True)
    if "png" in arguments.parts:
        compare_with_png(dataset, pipeline, rows, config, arguments)
    if "fit" in arguments.parts:
        compare_with_constant(pipeline, rows, config, steps, arguments)


def compare_with_png(dataset, pipeline, rows, config, arguments) -> None:
    """Read through both pipelines in turn, without a model; the first pair warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_pngs(dataset, rows, config, Path(folder))
        pairs = [
            (
                read_through(batches(pipeline, rows, config, pair)),
                read_through(plain_batches(dataset, files, config, pair)),
            )
            for pair in range(arguments.pairs + 1)
        ][1:]
    for name, place in (("alone", 0), ("PNG pairs", 1)):
        rates, cpu_ms = ([1 / pair[place][0] for pair in pairs], [1000 * pair[place][1] for pair in pairs])
        print(f"  {name}: {said(rates, 0)} images/s, {statistics.median(cpu_ms):.2f} ms of CPU time an image")
    print(f"  times as fast as PNG pairs: {said([plain[0] / ours[0] for ours, plain in pairs])}", flush=True)
    print(f"  times less CPU time: {said([plain[1] / ours[1] for ours, plain in pairs])}", flush=True)


def compare_with_constant(pipeline, rows, config, steps, arguments) -> None:
    """Time one epoch of each kind in turn; the first pair warms up and does not count."""
    import tensorflow as tf

    with prepared(config.train):
        model = build_model(config.model)
        model.compile(make_optimizer(config.train, steps, arguments.pairs), make_loss(config.train.loss))
    batch = next(iter(batches(pipeline, rows, config, 0)))
    constant = iter(tf.data.Dataset.from_tensors(batch).repeat().prefetch(2))
    # One dataset for all epochs, as in training; of an epoch up to six batches are made ahead, so take many steps.
    real = iter(pipeline.training(rows, config.augment, 0, 0, arguments.pairs + 1).map(without_label))
    ratios: list[tuple[float, float]] = []
    for pair in range(arguments.pairs + 1):
        measured = [epoch_s(model, stream, steps) for stream in (real, constant)]
        if pair:
            ratios.append(tuple(a / b for a, b in zip(*measured, strict=True)))
            said_s = "; ".join(f"{wall:.2f} s, {cpu:.2f} s of CPU" for wall, cpu in measured)
            print(f"    pair {pair}, real then constant: {said_s}", flush=True)
    print(f"  {config.arm}: epoch on the pipeline / on a constant batch")
    print(f"    time {said([wall for wall, _ in ratios])}, CPU time {said([cpu for _, cpu in ratios])}", flush=True)


def batches(pipeline, rows, config, epoch: int):
    return pipeline.training(rows, config.augment, 0, epoch, epoch + 1).map(without_label)


def without_label(image, mask, label):
    """A third entry would weigh the cases."""
    return image, mask


def write_pngs(dataset, rows, config, folder: Path) -> tuple[list[str], list[str]]:
    from PIL import Image

    images, masks = [], []
    for row in rows:
        pixels = np.asarray(dataset.images[row])
        pixels = (pixels.astype(np.int32) + _HU_OFFSET).astype(np.uint16) if dataset.units == "hu" else pixels
        mask = dataset.consensus(np.array([row]), config.data.consensus_readers)[0] * 255
        for array, names, kind in ((pixels, images, "image"), (mask, masks, "mask")):
            names.append(str(folder / f"{kind}-{row}.png"))
            Image.fromarray(array).save(names[-1])
    return images, masks


def plain_batches(dataset, files, config, epoch: int):
    """The pipeline that one would write first: a shuffled list of files, one image at a time, then batches."""
    import tensorflow as tf

    augmentation = Augmentation(config.augment, 0, Scaling(config.data, dataset.units))
    tables = augmentation.tables(len(files[0]), epoch)

    def load(place, image_file, mask_file):
        pixel_type = tf.uint16 if dataset.units == "hu" else tf.uint8
        image = tf.io.decode_png(tf.io.read_file(image_file), channels=1, dtype=pixel_type)
        image = tf.cast(image, tf.int32) - (_HU_OFFSET if dataset.units == "hu" else 0)
        mask = tf.cast(tf.io.decode_png(tf.io.read_file(mask_file), channels=1) > 0, tf.uint8)
        shape = [1, 1, *dataset.images.shape[1:]]
        draws = {name: values[place : place + 1] for name, values in tables.items()}
        image, mask = augmentation.change_case(tf.reshape(image, shape), tf.reshape(mask, shape), draws)
        return image[0, 0, ..., tf.newaxis], tf.cast(mask[0, 0, ..., tf.newaxis], tf.float32)

    order = tf.data.Dataset.from_tensor_slices((np.arange(len(files[0])), *files)).shuffle(len(files[0]), epoch)
    read = order.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return read.batch(config.train.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def read_through(dataset) -> tuple[float, float]:
    """Return the time and the CPU time of an image; building the dataset and its first batch do not count."""
    stream = iter(dataset)
    next(stream)
    began, count = clocks(), 0
    for image, _ in stream:
        count += image.shape[0]
    wall, cpu = clocks() - began
    return wall / count, cpu / count


def epoch_s(model, stream, steps: int) -> tuple[float, float]:
    began = clocks()
    for _ in range(steps):
        model.train_on_batch(*next(stream))
    return tuple(clocks() - began)


def clocks() -> np.ndarray:
    """Wall time and the process's CPU time over all threads, which others on the machine hardly touch."""
    return np.array([time.perf_counter(), time.process_time()])


def said(numbers: list[float], digits: int = 3) -> str:
    ends = f"{min(numbers):.{digits}f} to {max(numbers):.{digits}f}"
    return f"{statistics.median(numbers):.{digits}f} (median of {len(numbers)}; {ends})"


def make_config(arguments: argparse.Namespace) -> ExperimentConfig:
    options = {"alpha": 0.35} if arguments.model == "unet_mobilenetv2" else {}
    values = {
        "augment": {"preset": arguments.preset},
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
    parser.add_argument("--data", type=Path, help="prepared dataset; default: phantoms of the given sides")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--patients", type=int, default=60, help="of each phantom, 8 slices each")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--parts", nargs="+", choices=("png", "fit"), default=("png", "fit"))
    parser.add_argument("--model", default="unet_mobilenetv2")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="steps per epoch, at most")
    parser.add_argument("--pairs", type=int, default=7, help="counted pairs of epochs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
