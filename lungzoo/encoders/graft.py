"""Grafting: run the layers of a published network on our own input, under lasting names, no deeper than needed.

Skip connections are named after layers. A skip is either a layer's name (its output) or `Before(name)` (its input),
for networks that name the layer after a stage and leave the stage's last activation unnamed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)

TO_PLUS_MINUS_ONE = "[0, 1] to [-1, 1]"
BY_IMAGENET_STATISTICS = "[0, 1] minus ImageNet's channel means, divided by its standard deviations"
TO_CENTRED_255 = "[0, 1] to 0..255, ImageNet's channel means subtracted"

ALL = frozenset({"*"})


@dataclass(frozen=True)
class Before:
    """The tensor that goes into a layer."""

    layer: str


Skips = Mapping[str, str | Before | None]


def scaled(rgb: Any, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.5,) * 3) -> Any:
    """Return (rgb - mean) / std as a layer "scale_input"; the default maps [0, 1] to [-1, 1]."""
    import keras

    scale = [1 / value for value in std]
    offset = [-centre / value for centre, value in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset=offset, name="scale_input")(rgb)


def centred_255(rgb: Any) -> Any:
    """Return the scaling of networks trained with Caffe: 0..255 less ImageNet's channel means."""
    return scaled(rgb, CAFFE_MEAN, (1 / 255,) * 3)


def graft(
    reference: Any,
    tensor: Any,
    levels: tuple[str, ...],
    skips: Skips,
    weights: str | None,
    entry: str | None = None,
    same_padding: Collection[str] = (),
    bgr_stem: str | None = None,
) -> dict[str, Any]:
    """Rebuild a reference network on our own scaled input.

    Layers that the reference left unnamed get the names that they would have in a fresh process, so the names of all
    variables are the same in every build. Grouped convolutions of one channel each become depthwise ones: the same
    arithmetic, which TensorFlow does not have to compile with XLA. So do learned scales per channel.

    Args:
        reference: functional `keras.Model` with one input and one output.
        tensor: Keras tensor (None, None, None, 3), scaled as the network expects.
        levels: wanted pyramid levels.
        skips: where each level is; None is the output of the reference.
        weights: None for fresh random weights; otherwise those of the reference are carried over.
        entry: first layer that is kept; None keeps all.
        same_padding: names of layers whose "valid" padding becomes "same", or `ALL`, so that levels land on exact
            strides. "same" pads even sides below and to the right, which leaves the "valid" windows where they were.
        bgr_stem: name of the first convolution where it was trained on blue-green-red images; its kernel is reversed,
            so that it takes red-green-blue.

    Returns:
        {level: tensor}, connected to `tensor`.
    """
    import keras

    names = lasting_names(reference)
    operations = {names[id(operation)]: operation for operation in reference.operations}
    sources = {level: _source(reference, operations, skips[level]) for level in levels}
    start = reference.input if entry is None else operations[entry].input
    trunk = keras.Model(start, [operations[source].output for source in sources.values()])
    copies: dict[str, tuple[Any, Any]] = {}
    made: dict[str, Any] = {}

    def copy(operation: Any) -> Any:
        name = names[id(operation)]
        new = _copied(operation, name, same=same_padding is ALL or name in same_padding)
        copies[name] = (operation, new)
        return new

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        made[operation.name] = operation(*args, **kwargs)
        return made[operation.name]

    keras.models.clone_model(trunk, input_tensors=tensor, clone_function=copy, call_function=call)
    if weights is not None:
        for name, (old, new) in copies.items():
            _carry(old, new, reverse=name == bgr_stem)
    return {level: made[source] for level, source in sources.items()}


def lasting_names(model: Any) -> dict[int, str]:
    """Return {id: name} of a model's layers and operations, as they would be named in a fresh process.

    Keras numbers unnamed layers through the life of a process: conv2d_94. Here every class counts from zero again.
    """
    unnamed: dict[str, list[tuple[int, int]]] = {}
    names = {}
    for operation in model.operations:
        stem, number = re.fullmatch(r"(.+?)(?:_(\d+))?", operation.name).groups()  # type: ignore[union-attr]
        if stem.replace("_", "") == type(operation).__name__.lower():
            unnamed.setdefault(stem, []).append((int(number or 0), id(operation)))
        else:
            names[id(operation)] = operation.name
    for stem, numbered in unnamed.items():
        for count, (_, key) in enumerate(sorted(numbered)):
            names[key] = f"{stem}_{count}" if count else stem
    return names


def _source(reference: Any, operations: Mapping[str, Any], skip: str | Before | None) -> str:
    """Return the name of the layer that makes a skip's tensor."""
    if isinstance(skip, str):
        return skip
    tensor = reference.output if skip is None else operations[skip.layer].input
    return next(name for name, operation in operations.items() if operation.output is tensor)


def _copied(operation: Any, name: str, same: bool) -> Any:
    import keras

    config = {**operation.get_config(), "name": name}
    if same and config.get("padding") == "valid":
        config["padding"] = "same"
    if isinstance(operation, keras.layers.Conv2D) and config.get("groups") == config.get("filters"):
        return _depthwise(config)
    if "projection_dim" in config:
        # A learned scale per channel, of Keras's own class, whose one variable has no lasting name.
        initial = keras.initializers.Constant(config["init_values"])
        return keras.layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=initial, name=name)
    return type(operation).from_config(config)


def _depthwise(config: Mapping[str, Any]) -> Any:
    import keras

    shared = ("name", "dtype", "kernel_size", "strides", "padding", "use_bias", "activation", "bias_initializer")
    return keras.layers.DepthwiseConv2D(
        depthwise_initializer=config["kernel_initializer"], **{key: config[key] for key in shared}
    )


def _carry(old: Any, new: Any, reverse: bool) -> None:
    weights = old.get_weights() if getattr(old, "weights", None) else []
    if not weights:
        return
    if reverse:
        weights[0] = weights[0][:, :, ::-1, :]
    if type(old) is not type(new):  # grouped (h, w, 1, C), or a scale (C), to depthwise (h, w, C, 1)
        weights[0] = weights[0].reshape(new.weights[0].shape)
    new.set_weights(weights)
