"""Rebuild the graph of a segmentation_models network: plain Keras layers, lasting names, any height and width.

The library's own layers cannot stay: some are Python functions, which do not reload; many are unnamed, so that Keras
numbers them through the life of a process; PSPNet fixes the size of its input. The copies compute the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lungzoo.encoders.graft import lasting_names

_PSP_POOLING = re.compile(r"psp_level(\d+)_pooling")
_PSP_UPSAMPLING = re.compile(r"psp_level(\d+)_upsampling")


def rebuild(
    reference: Any,
    inputs: Mapping[str, tuple[Any, Any]],
    outputs: Mapping[str, Any],
    copy_weights: bool,
    reverse_stem: bool = False,
) -> dict[str, Any]:
    """Rebuild the part of a network that lies between two sets of its tensors.

    Args:
        reference: functional `keras.Model` whose layers are called once each.
        inputs: {key: (tensor of the reference where the part begins, Keras tensor in its place)}.
        outputs: {key: tensor of the reference where the part ends}.
        copy_weights: carry the weights of the reference over; otherwise the new layers start from fresh random ones.
        reverse_stem: reverse the input channels of the first convolution that is copied, for weights that were trained
            on blue-green-red images.

    Returns:
        {key of `outputs`: tensor}, connected to `inputs`.
    """
    import keras

    names = lasting_names(reference)
    made = {id(old): new for old, new in inputs.values()}
    for operation in _between(reference, made, outputs):
        arguments = keras.tree.map_structure(lambda tensor: made[id(tensor)], operation.input)
        new = _translated(operation, names[id(operation)])
        if _PSP_UPSAMPLING.fullmatch(operation.name):
            arguments = [arguments, made[id(reference.get_layer("psp_concat").input[0])]]
        made[id(operation.output)] = new(arguments)
        weights = operation.get_weights() if copy_weights else []
        if weights:
            if reverse_stem and isinstance(operation, keras.layers.Conv2D):
                weights[0], reverse_stem = weights[0][:, :, ::-1], False
            new.set_weights(weights)
    return {key: made[id(old)] for key, old in outputs.items()}


def _between(reference: Any, begins: Mapping[int, Any], ends: Mapping[str, Any]) -> list[Any]:
    """Return the operations that lead from tensors with the ids `begins` to the tensors `ends`, in order."""
    import keras

    producers = {id(operation.output): operation for operation in reference.operations}
    waiting, needed = list(ends.values()), set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in begins or id(tensor) in needed:
            continue
        needed.add(id(tensor))
        waiting += keras.tree.flatten(producers[id(tensor)].input)
    return [operation for operation in reference.operations if id(operation.output) in needed]


def _translated(operation: Any, name: str) -> Any:
    """Return a new layer that computes the same under another name, and reloads."""
    import keras

    from lungzoo.decoders.layers.resampling import (
        AdaptiveAveragePooling,
        BilinearUpsampling,
        NearestUpsampling,
        ResizeLike,
    )  # fmt: skip

    kind = type(operation).__name__
    if kind == "Lambda":
        return _named_function(operation, name)
    if kind == "FixedDropout":
        return keras.layers.Dropout(operation.rate, noise_shape=operation.noise_shape, name=name)
    if grid := _PSP_POOLING.fullmatch(name):
        return AdaptiveAveragePooling(int(grid[1]), name=name)
    if _PSP_UPSAMPLING.fullmatch(name):
        return ResizeLike(name=name)
    if kind == "UpSampling2D":
        growth = BilinearUpsampling if operation.interpolation == "bilinear" else NearestUpsampling
        return growth(operation.size[0], name=name)
    config = {**operation.get_config(), "name": name}
    if getattr(getattr(operation, "activation", None), "__name__", "") == "swish":  # a function of the library's own
        config["activation"] = "silu"
    return type(operation).from_config(config)


def _named_function(operation: Any, name: str) -> Any:
    import keras

    from lungzoo.models.segmentation_layers import ChannelSlice, ScaledSum

    arguments = operation.arguments
    if "scale" in arguments:
        return ScaledSum(arguments["scale"], name=name)
    if "stop" in arguments:
        return ChannelSlice(arguments["start"], arguments["stop"], name=name)
    return keras.layers.Reshape((1, 1, operation.input.shape[-1]), name=name)
