"""Multiply-adds of a Keras model, counted on the operations that TensorFlow runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lungzoo.errors import LungzooError

# Operation: index of its kernel among the inputs, and of the tensor whose every position the kernel is applied to
# (None: the output). A transposed convolution applies its kernel to every position of what comes in.
_CONVOLUTIONS: dict[str, tuple[int, int | None]] = {
    "Conv": (1, None),
    "Conv2D": (1, None),
    "Conv3D": (1, None),
    "DepthwiseConv2dNative": (1, None),
    "Conv2DBackpropInput": (1, 2),
    "Conv3DBackpropInputV2": (1, 2),
    "DepthwiseConv2dNativeBackpropInput": (1, 2),
}
_PRODUCTS = {"MatMul": "transpose_a", "BatchMatMul": "adj_x", "BatchMatMulV2": "adj_x", "BatchMatMulV3": "adj_x"}


def count_macs(model: Any, shape: Sequence[int]) -> int:
    """Count the multiply-adds of one forward pass.

    Convolutions (plain, grouped, depthwise, transposed; 2D and 3D), matrix products and einsums count; what works
    element by element (activations, normalisation, pooling, resizing) does not. Padding counts like image.

    Args:
        model: any Keras model with one input.
        shape: of one input, without the batch: (H, W, C) or (D, H, W, C). All sides must be known.

    Returns:
        Multiply-adds for one sample. One multiply-add is two floating-point operations.

    Raises:
        LungzooError: another backend than TensorFlow, or an operation whose size the shape does not settle.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise LungzooError(
            f"Multiply-adds are counted on TensorFlow. Received: KERAS_BACKEND={keras.config.backend()}. "
            "Run it with KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    function = tf.function(lambda image: model(image, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32))
    return _graph_macs(concrete.graph)


def _graph_macs(graph: Any) -> int:
    return sum(_operation_macs(operation, graph) for operation in graph.get_operations())


def _operation_macs(operation: Any, graph: Any) -> int:
    kind = operation.type
    if kind in ("PartitionedCall", "StatefulPartitionedCall"):
        # Keras wraps what it compiles with XLA, such as grouped convolutions, into a function of its own.
        inner = graph._get_function(operation.get_attr("f").name)
        return _graph_macs(inner.graph) if hasattr(inner, "graph") else _unsettled(operation)
    if kind in ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"):
        return _unsettled(operation)
    if kind in _CONVOLUTIONS:
        return _convolution_macs(operation)
    if kind in _PRODUCTS:
        transposed = operation.get_attr(_PRODUCTS[kind])
        inner_side = operation.inputs[0].shape[-2 if transposed else -1]
        return _size(operation, operation.outputs[0].shape) * _size(operation, [inner_side])
    if kind == "Einsum":
        return _einsum_macs(operation)
    return 0


def _convolution_macs(operation: Any) -> int:
    kernel, place = _CONVOLUTIONS[operation.type]
    over = operation.outputs[0] if place is None else operation.inputs[place]
    attributes = operation.node_def.attr
    channels_first = "data_format" in attributes and operation.get_attr("data_format").startswith(b"NC")
    positions = [over.shape[0], *over.shape[2:]] if channels_first else over.shape[:-1]
    return _size(operation, positions) * _size(operation, operation.inputs[kernel].shape)


def _einsum_macs(operation: Any) -> int:
    """Every combination of the labels is one multiply-add."""
    terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sides: dict[str, int | None] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        before, dots, after = term.partition("...")
        shape = list(tensor.shape)
        sides.update(zip(before, shape, strict=False))
        sides.update(zip(reversed(after), reversed(shape), strict=False))
        middle = shape[len(before) : len(shape) - len(after)] if dots else []
        # Broadcast axes are numbered from the right; a side of one stretches.
        for place, side in enumerate(reversed(middle)):
            key = f".{place}"
            sides[key] = side if sides.get(key, 1) == 1 else sides[key]
    return _size(operation, sides.values()) if len(terms) > 1 else 0


def _size(operation: Any, sides: Any) -> int:
    sides = list(sides)
    return _unsettled(operation) if None in sides else math.prod(sides)


def _unsettled(operation: Any) -> int:
    raise LungzooError(
        f"The multiply-adds of operation '{operation.name}' ({operation.type}) cannot be counted: the input shape "
        "does not settle its size. Give every side, and build the model without loops or branches."
    )
