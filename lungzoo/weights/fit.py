"""Puts the arrays of a weights file into a model: by name and shape, all or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lungzoo.errors import WeightsMismatch
from lungzoo.weights.names import SECOND_STAGE, named_variables

Part = Literal["all", "encoder"]

_ENCODER = "encoder/"
_STEM = "encoder/project_to_rgb/"
_SHOWN = 5


def apply_weights(model: Any, arrays: Mapping[str, np.ndarray], *, part: Part = "all", new_head: bool = False) -> None:
    """Set the variables of a model; nothing is changed unless everything fits.

    Args:
        model: a `keras.Model` of the zoo.
        arrays: as `read_weights` returns them; those of a second stage are left out.
        part: "all", or "encoder": then the rest of the file is ignored, as are encoder layers deeper than the model
            has, and a stem for another number of input channels stays as initialised.
        new_head: leave the mask, label and auxiliary heads as initialised.

    Raises:
        WeightsMismatch: saying which variables do not fit, and what would.
    """
    own = {name: array for name, array in arrays.items() if not name.startswith(SECOND_STAGE)}
    variables, given = _chosen(named_variables(model), own, part, new_head)
    missing = [name for name in variables if name not in given]
    surplus = [name for name in given if name not in variables]
    if part == "encoder":  # a deeper file is fine; a layer with other variables is not
        layers = {_layer(name) for name in variables}
        surplus = [name for name in surplus if _layer(name) in layers]
    differing = [name for name in variables if name in given and not _fits(variables[name], given[name])]
    if missing or surplus or differing:
        lines = [f"{name}: the file lacks it" for name in missing]
        lines += [f"{name}: the model lacks it" for name in surplus]
        lines += [
            f"{name}: the file has {_kind(given[name])}, the model {_kind(variables[name])}" for name in differing
        ]
        hints = _hints(variables, given, missing, surplus, differing, part)
        raise WeightsMismatch(_message(model.name, part, lines, hints))
    for name, variable in variables.items():
        variable.assign(given[name].astype(variable.dtype if variable.dtype != "bfloat16" else "float32"))


def is_head(name: str) -> bool:
    """Tell whether a variable belongs to a mask, label or auxiliary head."""
    layer = name.partition("/")[0]
    return layer in ("head", "label") or layer.startswith("aux_")


def _chosen(
    variables: dict[str, Any], given: dict[str, np.ndarray], part: Part, new_head: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the variables to set and the arrays to set them from, without those that the part leaves out."""

    def wanted(name: str) -> bool:
        if part == "encoder":
            return name.startswith(_ENCODER) and not (name.startswith(_STEM) and not stem_fits)
        return not (new_head and is_head(name))

    stem = {name for name in [*variables, *given] if name.startswith(_STEM)}
    stem_fits = all(n in variables and n in given and _fits(variables[n], given[n]) for n in stem)
    return (
        {name: variable for name, variable in variables.items() if wanted(name)},
        {name: array for name, array in given.items() if wanted(name)},
    )


def _fits(variable: Any, array: np.ndarray) -> bool:
    return tuple(variable.shape) == array.shape and ("float" in str(variable.dtype)) == (array.dtype.kind == "f")


def _kind(values: Any) -> str:
    """ "(3, 3, 8, 1)", or "(1,) of integers"."""
    return f"{tuple(values.shape)}{'' if 'float' in str(values.dtype) else ' of integers'}"


def _layer(name: str) -> str:
    return name.rpartition("/")[0]


def _hints(
    variables: dict[str, Any],
    given: dict[str, np.ndarray],
    missing: list[str],
    surplus: list[str],
    differing: list[str],
    part: Part,
) -> list[str]:
    """Say what would fit; at least one sentence."""
    faulty = [*missing, *surplus, *differing]
    rest = [name for name in faulty if not is_head(name) and not name.startswith(_STEM)]
    if part == "encoder":
        if not any(name.startswith(_ENCODER) for name in given):
            return ["The file holds no encoder of lungzoo's."]
        if not surplus and not differing:
            layers = sorted({_layer(name) for name in missing})
            return [
                f"The file's encoder ends before {layers[0]}: lower model.encoder_depth, or take weights that reach "
                "as deep."
            ]
        return ["Use the encoder and encoder_options that the file's manifest names."]
    if rest:
        return ["Build the model that the file's manifest describes; lungzoo.load does."]
    hints = []
    if any(name.startswith(_STEM) for name in faulty):
        hints.append("The file was made for another number of input channels: use the same in_channels and in_slices.")
    for layer, things in (("head", "classes"), ("label", "labels")):
        bias = f"{layer}/bias"
        if bias in differing:
            old, new = given[bias].shape[-1], variables[bias].shape[-1]
            hints.append(
                f"The file has {things}: {old}, the model {new}. Use the same {things}, or new_head to start the "
                "heads anew."
            )
    if not hints:
        hints.append("The heads differ: use the same labels and deep_supervision, or new_head to start them anew.")
    return hints


def _message(model: str, part: Part, lines: list[str], hints: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        shown.append(f"  … and {len(lines) - _SHOWN} more")
    what = "The encoder weights" if part == "encoder" else "The weights"
    return "\n".join([f"{what} do not fit the model '{model}':", *shown, *hints])
