"""ONNX, through Keras and tf2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs
from lungzoo.export.heads import AXES, input_spec


def write(job: Job, path: Path) -> None:
    """Let Keras write the graph, then give inputs, outputs and axes their names."""
    import onnx

    job.model.export(str(path), format="onnx", verbose=False, input_signature=[input_spec(job.shape)])
    graph = onnx.load(str(path))
    axes = AXES[len(job.shape)]
    _name_axes(graph.graph.input[0], axes)
    # tf2onnx keeps the order in which TensorFlow flattens a dictionary: by key.
    for output, head in zip(graph.graph.output, sorted(job.model.output), strict=True):
        _rename(graph.graph, output.name, head)
        _name_axes(output, axes if head == "mask" else axes[:1])
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def run(path: Path, batch: np.ndarray) -> Outputs:
    """Answer through onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": batch}), strict=True))


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    next(output for output in graph.output if output.name == old).name = new


def _name_axes(value: Any, axes: tuple[str, ...]) -> None:
    for dimension, axis in zip(value.type.tensor_type.shape.dim, axes, strict=False):
        if not dimension.HasField("dim_value"):
            dimension.dim_param = axis


EXPORT_FORMATS.add(
    "onnx",
    ExportFormat(
        title="ONNX graph",
        suffix=".onnx",
        reader="onnxruntime and whatever else reads ONNX",
        write=write,
        run=run,
        packages=("tf2onnx", "onnx", "onnxruntime"),
    ),
)
