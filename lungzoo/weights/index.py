"""The index of a hub: which weights it has, and the hashes of their files.

A hub is a folder, at hand or served over HTTP. `index.json` lists its weights; each set has a folder of its own, named
like them, with `manifest.toml`, the `.npz` and the model card `README.md`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lungzoo.errors import ConfigError
from lungzoo.schema import Frozen, parse
from lungzoo.weights.manifest import FILE, HEX, MAX_BYTES, MAX_MANIFEST_BYTES, NAME, WeightsManifest

INDEX, MANIFEST, CARD = "index.json", "manifest.toml", "README.md"
MAX_INDEX_BYTES = 2**24


class HubEntry(Frozen):
    """One set of weights of a hub."""

    name: str = Field(pattern=NAME)
    """Its name, and that of its folder."""
    title: str = ""
    """A line for people."""
    manifest_sha256: str = Field(pattern=HEX)
    """sha256 of its manifest."""
    manifest_bytes: int = Field(ge=1, le=MAX_MANIFEST_BYTES)
    """Size of its manifest."""
    file: str = Field(pattern=FILE)
    """Name of the weights file."""
    sha256: str = Field(pattern=HEX)
    """sha256 of the weights file."""
    size_bytes: int = Field(ge=1, le=MAX_BYTES)
    """Size of the weights file."""

    def check(self, manifest: WeightsManifest, where: str) -> WeightsManifest:
        """Return a manifest; raises ConfigError where it describes other weights than the index."""
        for key in ("name", "file", "sha256", "size_bytes"):
            ours, theirs = getattr(self, key), getattr(manifest, key)
            if ours != theirs:
                raise ConfigError(f"{where}: {key} must be what the hub's index says, '{ours}'. Received: '{theirs}'.")
        return manifest


class HubIndex(Frozen):
    """What a hub has."""

    format: Literal[1]
    """Version of this layout."""
    weights: tuple[HubEntry, ...] = ()
    """Its sets of weights."""

    @model_validator(mode="after")
    def _check(self) -> HubIndex:
        names = [entry.name for entry in self.weights]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"each name belongs to one set of weights. Received more than once: {', '.join(twice[:5])}"
            )
        return self

    def find(self, name: str) -> HubEntry | None:
        """Return the entry of a name; None where there is none."""
        return next((entry for entry in self.weights if entry.name == name), None)

    def with_entry(self, entry: HubEntry) -> HubIndex:
        """Return the index with an entry in the place of one of that name, in the order of names."""
        others = [other for other in self.weights if other.name != entry.name]
        return HubIndex(format=1, weights=tuple(sorted((*others, entry), key=lambda each: each.name)))

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def parse_index(content: bytes, where: str) -> HubIndex:
    """Return the index that a file holds.

    Raises:
        ConfigError: it is no index, or one of a newer lungzoo.
    """
    try:
        values = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise ConfigError(
            f"{where} is no index of a hub: it is not valid JSON ({reason}). Check the address."
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is no index of a hub: it must hold a JSON object. Check the address.")
    return parse(HubIndex, values, where)


def read_index(folder: Path) -> HubIndex | None:
    """Return the index of a folder; None where it has none.

    Raises:
        ConfigError: it is malformed, or cannot be read.
    """
    path = folder / INDEX
    try:
        if not path.is_file():
            return None
        if (size := path.stat().st_size) > MAX_INDEX_BYTES:
            raise ConfigError(f"{path} is no index of a hub: {size} bytes; at most {MAX_INDEX_BYTES} are read.")
        return parse_index(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from None
