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
    _spell_out_erfc(graph.graph)
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


def _spell_out_erfc(graph: Any) -> None:
    """Put 1 − erf in the place of erfc, which TensorFlow makes of GELU, and which ONNX does not have."""
    from onnx import helper, numpy_helper

    nodes = list(graph.node)
    if not any(node.op_type == "Erfc" for node in nodes):
        return
    graph.initializer.append(numpy_helper.from_array(np.float32(1), "erfc_one"))
    del graph.node[:]
    for node in nodes:
        if node.op_type != "Erfc":
            graph.node.append(node)
            continue
        erf = f"{node.output[0]}_erf"
        graph.node.append(helper.make_node("Erf", [node.input[0]], [erf]))
        graph.node.append(helper.make_node("Sub", ["erfc_one", erf], [node.output[0]]))


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
