"""Parameters, multiply-adds and milliseconds per slice of the models, written to docs/models.json.

Encoders that are not in `lungzoo/encoders/facts.json` yet are written there first. Measures the rows that have no
record yet, one after the other, and saves after each, so that an interrupted run goes on where it was. Times are of
this machine, which should be idle:

    python benchmarks/speed/zoo.py                    # what is missing
    python benchmarks/speed/zoo.py --only 'fpn_*'     # these once more
    python benchmarks/speed/zoo.py --fresh            # everything anew
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from lungzoo.decoders import DECODERS
from lungzoo.encoders import ENCODERS
from lungzoo.encoders.facts import recorded
from lungzoo.encoders.facts import write_facts as write_encoders
from lungzoo.models.zoo import MODELS

PATH = Path(__file__).resolve().parent.parent.parent / "docs" / "models.json"
SIDE_PX = 256
SLICES = 5
WARM_UP, CALLS, ROUNDS = 2, 5, 3
COMPARED = ("mobilenetv2", "resnet50")
SMALL = (
    "mobilenet", "mobilenetv2", "resnet18", "resnet34", "resnet50", "efficientnetb0", "efficientnetb1", "seresnet18",
)  # fmt: skip


def main() -> None:
    arguments = read_arguments()
    if new := [name for name in ENCODERS.names() if recorded(name) is None]:
        write_encoders(new)
    rows = [name for name in table_rows() if fnmatchcase(name, arguments.only or "*")]
    facts = read_facts(fresh=arguments.fresh)
    if arguments.only is None:
        rows = [name for name in rows if name not in facts["models"]]
    print(f"{len(rows)} models to measure on {facts['machine']['cpu']}", flush=True)
    for name in rows:
        row = facts["models"][name] = faster(facts["models"].get(name), measure(name))
        forget_models()
        write_facts(facts)
        print(f"  {name}: {row['params']:,} parameters, {row['gmacs']} GMACs, {row['ms']} ms", flush=True)


def table_rows() -> list[str]:
    """Return the models of the table: all encoders with U-Net, all decoders on two encoders, and the other kinds."""
    names = {(spec.provider, spec.encoder, spec.decoder): name for name, spec in MODELS.items()}
    wanted = [("lungzoo", COMPARED[0], decoder) for decoder in DECODERS.names()]
    wanted += [("lungzoo", encoder, "unet") for encoder in ENCODERS.names()]
    wanted += [("lungzoo", COMPARED[1], decoder) for decoder in DECODERS.names()]
    found = [names[key] for key in wanted]
    found += [name for name, spec in MODELS.items() if spec.dims == 3]
    found += [f"sm/unet_{backbone}" for backbone in SMALL if f"sm/unet_{backbone}" in MODELS]
    return list(dict.fromkeys(found))


def measure(name: str) -> dict[str, Any]:
    """Build one model with its defaults and measure it."""
    import keras
    import numpy as np
    import tensorflow as tf

    import lungzoo
    from lungzoo.encoders.cost import count_macs

    spec = MODELS.get(name)
    volume = spec.dims == 3
    shape = (SLICES, SIDE_PX, SIDE_PX, 1) if volume else (SIDE_PX, SIDE_PX, 1)
    keras.utils.set_random_seed(0)
    sizes = {"in_slices": SLICES, "encoder_depth": max(spec.depths)} if volume else {}
    model = lungzoo.create_model(name, **sizes)
    row = {"params": model.count_params(), "gmacs": round(count_macs(model, shape) / 1e9, 3)}
    signature = [tf.TensorSpec((1, *shape), tf.float32)]
    predict = tf.function(lambda image: model(image, training=False), signature, autograph=False)
    image = tf.constant(np.random.default_rng(0).random((1, *shape), np.float32))
    row |= {"ms": round(call_ms(lambda: predict(image).numpy()), 1), "input": list(shape), "weights": spec.weights}
    return row


def faster(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return the faster of two measurements of one network, as whatever else runs only slows it down."""
    if before is None or any(before[key] != now[key] for key in ("params", "gmacs", "input")):
        return now
    return {**now, "ms": min(before["ms"], now["ms"])}


def forget_models() -> None:
    """Free the memory of the models built so far."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def call_ms(call: Callable[[], Any]) -> float:
    """Return the median of a few calls after warm-up, of the calmest of several rounds."""
    for _ in range(WARM_UP):
        call()
    return min(statistics.median(_elapsed_ms(call) for _ in range(CALLS)) for _ in range(ROUNDS))


def _elapsed_ms(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def read_facts(fresh: bool) -> dict[str, Any]:
    """Return the record to go on with."""
    machine = this_machine()
    if fresh or not PATH.exists():
        return {"machine": machine, "models": {}}
    facts = json.loads(PATH.read_text(encoding="utf-8"))
    if facts["machine"] != machine:
        sys.exit(
            f"{PATH.name} was measured on {facts['machine']}. This is {machine}. Times of two machines cannot be "
            "compared; measure everything anew with --fresh."
        )
    return facts


def write_facts(facts: dict[str, Any]) -> None:
    """Write one line per model, by name, in one step."""
    lines = [f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(facts["models"].items())]
    models = "{\n" + ",\n".join(lines) + "\n  }"
    text = f'{{\n  "machine": {json.dumps(facts["machine"])},\n  "models": {models}\n}}\n'
    beside = PATH.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(PATH)


def this_machine() -> dict[str, Any]:
    """Return processor and versions."""
    from importlib.metadata import version

    from lungzoo.tracking.environment import processor

    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
    }


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="PATTERN", help="shell-style pattern of model names; measures them once more")
    parser.add_argument("--fresh", action="store_true", help="forget the record first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
