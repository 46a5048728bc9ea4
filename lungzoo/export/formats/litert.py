"""LiteRT (TensorFlow Lite), whole or quantised: built-in operations only, so that every interpreter runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs
from lungzoo.export.heads import INPUT, input_spec


def write(job: Job, path: Path) -> None:
    """Convert with TensorFlow; inputs and outputs are float32 whatever is inside."""
    import tensorflow as tf

    plain = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    file, signature = str(path), [input_spec(job.shape)]
    if job.quantise is None:
        job.model.export(file, "litert", verbose=False, input_signature=signature, target_spec=plain)
        return
    halves = {**plain, "supported_types": [tf.float16]}
    eighths = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]}
    is_int8 = job.quantise == "int8"
    job.model.export(
        file,
        "litert",
        verbose=False,
        input_signature=signature,
        target_spec=eighths if is_int8 else halves,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=_one_by_one(job.samples) if is_int8 else None,
    )


def run(path: Path, batch: np.ndarray) -> Outputs:
    """Answer through the interpreter of ai-edge-litert."""
    from ai_edge_litert.interpreter import Interpreter

    answer: Any = Interpreter(str(path)).get_signature_runner()
    return {name: np.asarray(values) for name, values in answer(**{INPUT: batch}).items()}


def _one_by_one(samples: np.ndarray) -> Any:
    def batches() -> Iterator[list[np.ndarray]]:
        for number in range(len(samples)):
            yield [samples[number : number + 1]]

    return batches


EXPORT_FORMATS.add(
    "litert",
    ExportFormat(
        title="LiteRT (TensorFlow Lite) model of one height and width",
        suffix=".tflite",
        reader="ai-edge-litert, TensorFlow Lite on telephones",
        write=write,
        run=run,
        fixed_size=True,
        quantise=("float16", "int8"),
        packages=("ai_edge_litert",),
    ),
)
