"""Names of a model's variables that are the same each time the model is built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lungzoo.errors import LungzooError

SECOND_STAGE = "second_stage/"
"""What the names of arrays begin with that belong to the classifier of what the model marks."""


def named_variables(model: Any) -> dict[str, Any]:
    """Return the weights of a `keras.Model` by structural name: "encoder/backbone/Conv1/kernel".

    A name is the path of layers to the variable. Layers that Keras numbered itself ("normalization_7") are numbered
    among their siblings instead, in the order they were made. Seed generators, metrics and the state of the optimiser
    are no weights.

    Raises:
        LungzooError: two variables share a name, or one has no place in a layer; a fault of the model's code.
    """
    named: dict[str, Any] = {}
    for name, variable in _walk(model, "", set()):
        if name in named:
            raise LungzooError(f"The model '{model.name}' has two weights named '{name}'. Give its layers own names.")
        named[name] = variable
    found = {id(variable) for variable in named.values()}
    lost = [variable.path for variable in model.weights if id(variable) not in found]
    if lost:
        raise LungzooError(f"The model '{model.name}' has weights outside its layers: {', '.join(lost)}.")
    return named


def _walk(layer: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    children = _children(layer)
    below = {id(variable) for child in children for variable in child.weights}
    for variable in layer.weights:
        if id(variable) not in below and id(variable) not in seen:
            seen.add(id(variable))
            yield f"{path}{variable.name}", variable
    for name, child in _named(children):
        yield from _walk(child, f"{path}{name}/", seen)


def _children(layer: Any) -> list[Any]:
    """Return the direct sub-layers that have weights, of a model as of a composite layer."""
    return [child for child in layer._flatten_layers(include_self=False, recursive=False) if child.weights]


def _named(children: list[Any]) -> list[tuple[str, Any]]:
    """Pair layers with names; those with a name of Keras's own making are numbered anew."""
    automatic: dict[str, list[tuple[int, Any]]] = {}
    for child in children:
        stem, number = _split_number(child.name)
        if stem.replace("_", "") == type(child).__name__.lower():
            automatic.setdefault(stem, []).append((number, child))
    names = {id(child): child.name for child in children}
    for stem, numbered in automatic.items():
        for place, (_, child) in enumerate(sorted(numbered, key=lambda pair: pair[0])):
            names[id(child)] = f"{stem}_{place}" if place else stem
    return [(names[id(child)], child) for child in children]


def _split_number(name: str) -> tuple[str, int]:
    """ "conv2d_12" -> ("conv2d", 12); "conv2d" -> ("conv2d", 0)."""
    match = re.fullmatch(r"(.+)_(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)
