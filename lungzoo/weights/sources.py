"""Where published weights may come from beside those that ship: a folder, an address, a Hugging Face repository."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lungzoo.errors import ConfigError, WeightsUnavailable
from lungzoo.weights.documents import read_latest, read_pinned
from lungzoo.weights.index import INDEX, MANIFEST, MAX_INDEX_BYTES, HubEntry, HubIndex, parse_index, read_index
from lungzoo.weights.manifest import MAX_MANIFEST_BYTES, WeightsManifest, parse_manifest, read_manifest
from lungzoo.weights.published import Published, hub_cache

HUGGING_FACE = "hf:"
_REPOSITORY = re.compile(r"hf:(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[A-Za-z0-9][\w.-]*))?")


class Source(Protocol):
    """A place with published weights; it is asked once what it has, so what it says later needs another `Source`."""

    @property
    def local(self) -> bool:
        """Whether looking there opens no connection."""

    def check(self) -> None:
        """Raise ConfigError where it is seen at once, without asking anyone, that nothing can be there."""

    def names(self, offline: bool) -> list[str]:
        """Return the names of what is there. Raises as `find`."""

    def find(self, name: str, offline: bool) -> Published | None:
        """Return what has a name; None where nothing has.

        Raises:
            ConfigError: an index or a manifest is malformed.
            WeightsUnavailable: the place does not answer, or serves what its index does not say.
        """


@dataclass(frozen=True)
class FolderSource:
    """A folder with an index and a folder for each set of weights, or with manifests beside their files."""

    path: Path
    local: bool = True

    def check(self) -> None:
        """See `Source`."""
        if not self.path.is_dir():
            raise ConfigError(
                f"The hub '{self.path}' is no folder. Allowed: a folder, http(s)://…, hf:ORG/NAME; several "
                "with commas between them."
            )

    def names(self, offline: bool) -> list[str]:
        """See `Source`."""
        index = self._index()
        indexed = {entry.name for entry in index.weights} if index else set()
        return sorted(indexed | {path.stem for path in self.path.glob("*.toml")})

    def find(self, name: str, offline: bool) -> Published | None:
        """See `Source`."""
        index = self._index()
        if index and (entry := index.find(name)):
            return Published(self._indexed(entry), self.path / name, where=str(self.path))
        if name not in self.names(offline):
            return None
        return Published(
            _named(read_manifest(self.path / f"{name}.toml"), name, self.path), self.path, (), str(self.path)
        )

    def _index(self) -> HubIndex | None:
        self.check()
        return read_index(self.path)

    def _indexed(self, entry: HubEntry) -> WeightsManifest:
        path = self.path / entry.name / MANIFEST
        try:
            content = path.read_bytes() if path.stat().st_size == entry.manifest_bytes else b""
        except OSError as error:
            raise WeightsUnavailable(
                f"The hub {self.path} lacks {path.relative_to(self.path)}: {error.strerror}. Publish it again."
            ) from None
        if hashlib.sha256(content).hexdigest() != entry.manifest_sha256:
            raise WeightsUnavailable(
                f"{path} is not the manifest that the hub's index describes; the sha256 differs. Publish "
                f"'{entry.name}' again."
            )
        return entry.check(parse_manifest(content, str(path)), str(path))


@dataclass(frozen=True)
class WebSource:
    """The same folder, served over HTTP; of it, an address without an index mirrors the files of other weights."""

    base: str
    local: bool = False
    _said: dict[bool, HubIndex] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self) -> None:
        """See `Source`; what an address has is not known."""

    def names(self, offline: bool) -> list[str]:
        """See `Source`."""
        return [entry.name for entry in self._index(offline).weights]

    def find(self, name: str, offline: bool) -> Published | None:
        """See `Source`."""
        entry = self._index(offline).find(name)
        if entry is None:
            return None
        url = f"{self.base}/{name}/{MANIFEST}"
        remembered = hub_cache() / f"{entry.manifest_sha256[:24]}.toml"
        content = read_pinned(url, entry.manifest_bytes, entry.manifest_sha256, remembered, offline)
        manifest = entry.check(parse_manifest(content, url), url)
        return Published(manifest, None, (f"{self.base}/{name}",), self.base)

    def _index(self, offline: bool) -> HubIndex:
        if offline not in self._said:
            url = f"{self.base}/{INDEX}"
            self._said[offline] = read_latest(url, MAX_INDEX_BYTES, _remembered(url, ".json"), parse_index, offline)
        return self._said[offline]


@dataclass(frozen=True)
class HuggingFaceSource:
    """A repository with one set of weights: manifest, file and card at its top."""

    repository: str
    revision: str = "main"
    local: bool = False
    _said: dict[bool, WeightsManifest] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self) -> None:
        """See `Source`; what an address has is not known."""

    def names(self, offline: bool) -> list[str]:
        """See `Source`."""
        return [self.only(offline).manifest.name]

    def find(self, name: str, offline: bool) -> Published | None:
        """See `Source`."""
        found = self.only(offline)
        return found if found.manifest.name == name else None

    def only(self, offline: bool) -> Published:
        """Return the weights of the repository. Raises as `find`."""
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        base = f"{endpoint}/{self.repository}/resolve/{self.revision}"
        url = f"{base}/{MANIFEST}"
        if offline not in self._said:
            kept = _remembered(url, ".toml")
            self._said[offline] = read_latest(url, MAX_MANIFEST_BYTES, kept, parse_manifest, offline)
        return Published(self._said[offline], None, (base,), f"{HUGGING_FACE}{self.repository}")


def source_of(address: str) -> Source:
    """Return the source that an address means.

    Args:
        address: a folder, http(s)://…, or hf:ORG/NAME, perhaps with @REVISION.

    Raises:
        ConfigError: it is none of these.
    """
    if address.startswith(HUGGING_FACE):
        return hugging_face(address)
    if address.startswith(("http://", "https://")):
        if re.search(r"\s", address):
            raise ConfigError(f"An address has no spaces; several hubs have commas between them. Received: '{address}'")
        return WebSource(address.rstrip("/"))
    if "://" in address:
        raise ConfigError(f"A hub is a folder, http(s)://… or hf:ORG/NAME. Received: '{address}'")
    return FolderSource(Path(address))


def hugging_face(address: str) -> HuggingFaceSource:
    """Return the source of "hf:ORG/NAME" or "hf:ORG/NAME@REVISION"; raises ConfigError."""
    match = _REPOSITORY.fullmatch(address)
    if match is None or ".." in address:
        raise ConfigError(f"A Hugging Face repository is hf:ORG/NAME, perhaps with @REVISION. Received: '{address}'")
    return HuggingFaceSource(match["name"], match["revision"] or "main")


def configured() -> Sequence[Source]:
    """Return the sources that `LUNGZOO_HUB` names, in its order."""
    return [source_of(address) for address in _parted(os.environ.get("LUNGZOO_HUB", ""))]


def before_configured(addresses: Sequence[str]) -> str:
    """Return what `LUNGZOO_HUB` must say to name these first, then those that it names now."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*addresses, *_parted(os.environ.get("LUNGZOO_HUB", ""))])
    return line.getvalue()


def _parted(text: str) -> list[str]:
    """Part a list of addresses at its commas; a folder with a comma in its name stands alone, or in double quotes."""
    if (alone := text.strip()) and Path(alone).is_dir():
        return [alone]
    lines = csv.reader(text.splitlines(keepends=True), skipinitialspace=True)
    return [part.strip() for line in lines for part in line if part.strip()]


def _named(manifest: WeightsManifest, name: str, folder: Path) -> WeightsManifest:
    if manifest.name != name:
        path = folder / f"{name}.toml"
        raise ConfigError(f"{path}: name must be that of the file. Received: '{manifest.name}'. Allowed: '{name}'.")
    return manifest


def _remembered(url: str, ending: str) -> Path:
    return hub_cache() / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}{ending}"
