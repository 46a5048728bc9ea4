"""Would another runtime answer faster than Keras?

    python benchmarks/speed/runtimes.py

Time of one slice of 512×512 by the network alone, in batches of four: as `lungzoo predict` asks it, with oneDNN unless
TF_ENABLE_ONEDNN_OPTS is 0, compiled with XLA, by onnxruntime, and by LiteRT with one thread per core
(pip install 'lungzoo[export]'). CPU time is what counts on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lungzoo.cli.output import ONEDNN

WEIGHTS = "unet_mobilenetv2_035-lidc-v1"
BATCH, SIDE_PX = 4, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.setdefault(ONEDNN, "1")
    import lungzoo
    from lungzoo.encoders.cost import count_macs

    model = lungzoo.load(arguments.weights)
    slices = np.random.default_rng(0).random((BATCH, SIDE_PX, SIDE_PX, 1), np.float32)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "keras": lambda: np.asarray(model.predict_on_batch(slices)),
        "xla": with_xla(model, slices),
        "onnxruntime": with_onnx(arguments.weights, slices),
        "litert": with_litert(arguments.weights, slices),
    }
    expected, base = ways["keras"](), 0.0
    print(f"{arguments.weights}: {count_macs(model, slices.shape[1:]) / 1e9:.2f} GMACs a slice")
    for name, answer in ways.items():
        differs = float(np.abs(answer() - expected).max())  # the first answer compiles
        cpu_s, wall_s = timed(answer, arguments.repeats)
        base = base or cpu_s
        print(f"{name:12} {cpu_s:.3f} s of CPU a slice, {cpu_s / base:.2f} of keras; {wall_s:.3f} s; ±{differs:.1g}")


def with_xla(model, slices: np.ndarray) -> Callable[[], np.ndarray]:
    import tensorflow as tf

    compiled = tf.function(lambda batch: model(batch, training=False), jit_compile=True)
    return lambda: compiled(tf.constant(slices)).numpy()


def with_onnx(weights: str, slices: np.ndarray) -> Callable[[], np.ndarray]:
    import onnxruntime

    from lungzoo.export.export import Request, export_weights
    from lungzoo.inference.predictor import open_predictor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_weights(open_predictor(weights), Request("onnx", path))
        session = onnxruntime.InferenceSession(path.read_bytes())
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: slices})[0]


def with_litert(weights: str, slices: np.ndarray) -> Callable[[], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    from lungzoo.export.export import Request, export_weights
    from lungzoo.export.heads import INPUT
    from lungzoo.inference.predictor import open_predictor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        export_weights(open_predictor(weights), Request("litert", path, SIDE_PX))
        session = Interpreter(model_content=path.read_bytes(), num_threads=os.cpu_count())
    answer = session.get_signature_runner()
    return lambda: answer(**{INPUT: slices})["mask"]


def timed(answer: Callable[[], np.ndarray], repeats: int) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        answer()
    count = repeats * BATCH
    return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


if __name__ == "__main__":
    main()
