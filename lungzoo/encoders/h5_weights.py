"""Legacy Keras `.h5` weight files, read layer by layer by name, with nothing skipped in silence.

Keras's own reader pairs layers by position, which depends on how a version of Keras sorts a graph. HDF5 is a large C
library, and a file may point to others: what is opened here is compared with a hash first, and links out of it are
refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lungzoo.errors import WeightsUnavailable


def load_by_layer(model: Any, path: str | Path, md5: str) -> None:
    """Give every layer of a flat model the weights stored under its name.

    Args:
        model: a `keras.Model` without nested models.
        path: an `.h5` file of weights, or of a model with weights.
        md5: what its md5 must be, compared before HDF5 sees anything of it.

    Raises:
        WeightsUnavailable: it is another file, or one that points to others; a layer is missing, on either side, or has
            other variables or shapes.
    """
    stored = _read(Path(path), md5)
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    if set(stored) != set(layers):
        odd = sorted(set(stored) ^ set(layers))
        raise WeightsUnavailable(
            f"the weights in {path} are of another network: {len(odd)} layers differ, first '{odd[0]}'. "
            "Delete the file and fetch it again."
        )
    for name, layer in layers.items():
        found = [(key.rpartition("/")[2].partition(":")[0], array.shape) for key, array in stored[name].items()]
        wanted = [(weight.name, tuple(weight.shape)) for weight in layer.weights]
        if found != wanted:
            raise WeightsUnavailable(f"the weights in {path} do not fit layer '{name}': {found} instead of {wanted}.")
        layer.set_weights(list(stored[name].values()))


def check_links(path: str | Path) -> None:
    """Refuse an HDF5 file that points to other files.

    Raises:
        WeightsUnavailable: saying what points where.
        OSError: it is no HDF5 file, or a damaged one.
    """
    import h5py

    with h5py.File(path, "r") as file:
        _check(file, path)


def _read(path: Path, md5: str) -> dict[str, dict[str, Any]]:
    import h5py
    import numpy as np

    with path.open("rb") as content:  # the very bytes that were compared are those that are read
        if hashlib.file_digest(content, "md5").hexdigest() != md5:
            raise WeightsUnavailable(
                f"the weights in {path} are not those that were published: the md5 differs. Delete the file and fetch "
                "it again."
            )
        with h5py.File(content, "r") as file:
            _check(file, path)
            root = file.get("model_weights", file)
            return {
                _text(layer): {_text(name): np.asarray(root[_text(layer)][_text(name)]) for name in names}
                for layer in root.attrs["layer_names"]
                if len(names := root[_text(layer)].attrs["weight_names"])
            }


def _check(file: Any, path: str | Path) -> None:
    import h5py

    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # a group may be linked into itself
            continue
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            item = group.get(name) if isinstance(link, h5py.HardLink) else None
            if item is None or (isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)):
                raise WeightsUnavailable(
                    f"the weights in {path} are not read: '{group.name.rstrip('/')}/{name}' points elsewhere, which no "
                    "published weights do. Delete the file and fetch it again."
                )
            if isinstance(item, h5py.Group):
                groups.append(item)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
