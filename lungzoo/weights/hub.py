"""Published weights by name: what there is, where a copy lies, and how it gets here.

Manifests ship with lungzoo. `LUNGZOO_HUB` adds hubs: folders, addresses, Hugging Face repositories. What ships wins
over a hub, and hubs are asked in their order; an address is asked for the files of other weights, too. The sha256 of
the manifest decides what is taken, whoever serves it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lungzoo.content import content_dir
from lungzoo.errors import LungzooError, UnknownNameError, WeightsUnavailable
from lungzoo.weights.manifest import WeightsManifest
from lungzoo.weights.published import Published, is_offline, weights_cache
from lungzoo.weights.sources import HUGGING_FACE, FolderSource, Source, WebSource, configured, hugging_face

PREFIX = "lungzoo:"
PREFIXES = (PREFIX, HUGGING_FACE)
_ELSEWHERE = ". Those of a hub need --hub or LUNGZOO_HUB. There is no file or folder of that name, either."

__all__ = [
    "PREFIX",
    "PREFIXES",
    "Published",
    "everything",
    "fetch",
    "fetch_file",
    "find",
    "get",
    "get_all",
    "is_offline",
    "names",
    "weights_cache",
]


def names(local: bool = False, offline: bool | None = None) -> list[str]:
    """Return the names of all published weights, sorted.

    Args:
        local: leave out hubs that would be asked over a network.
        offline: True never opens a connection; None asks `LUNGZOO_OFFLINE`.

    Raises:
        ConfigError, WeightsUnavailable: a hub is malformed, or cannot be read.
    """
    return _names(_sources(local), _decided(offline))


def everything(pattern: str = "*", local: bool = False, offline: bool | None = None) -> Iterator[Published]:
    """Yield all published weights in the order of their names; each hub is asked once what it has.

    Args:
        pattern: shell-style, that names must match.
        local, offline: see `names`. Raises as `names` and `get`.
    """
    sources, offline = _sources(local), _decided(offline)
    for name in _names(sources, offline):
        if fnmatchcase(name, pattern):
            yield _get(name, offline, sources)


def get(name: str, offline: bool | None = None) -> Published:
    """Return published weights by name, with or without "lungzoo:", or those of "hf:ORG/NAME".

    Args:
        name: as `lungzoo weights list` shows it.
        offline: True never opens a connection; None asks `LUNGZOO_OFFLINE`.

    Raises:
        UnknownNameError: no such weights.
        ConfigError: their manifest, or the index of a hub, is malformed.
        WeightsUnavailable: they are not among those here, and a hub that may have them cannot be read.
    """
    return get_all([name], offline)[0]


def get_all(names: Sequence[str], offline: bool | None = None) -> list[Published]:
    """Return published weights by name, in this order; each hub is asked once what it has. See `get`."""
    sources, offline = _sources(), _decided(offline)
    return [_get(name, offline, sources) for name in names]


def _sources(local: bool = False) -> list[Source]:
    return [source for source in configured() if source.local or not local]


def _decided(offline: bool | None) -> bool:
    return is_offline() if offline is None else offline


def _names(sources: Sequence[Source], offline: bool) -> list[str]:
    return sorted({name for source in (_shipped(), *sources) for name in source.names(offline)})


def _get(name: str, offline: bool, sources: Sequence[Source]) -> Published:
    if name.startswith(HUGGING_FACE):
        return hugging_face(name).only(offline)
    given, name = name, name.removeprefix(PREFIX)
    if found := _shipped().find(name, offline):
        mirrors = tuple(source.base for source in sources if isinstance(source, WebSource))
        return dataclasses.replace(found, bases=mirrors, where="")
    failures: list[LungzooError] = []
    for source in sources:
        try:
            if found := source.find(name, offline):
                return found
        except WeightsUnavailable as failure:  # the next hub may have them
            failures.append(failure)
    if failures:
        raise failures[0]
    no_path = given == name and not os.path.exists(name)  # pathlib raises where it is too long
    see = "lungzoo weights list" + (_ELSEWHERE if no_path else "")
    raise UnknownNameError("published weights", name, _names(sources, offline), see)


def find(name: str) -> WeightsManifest:
    """Return a manifest; see `get`."""
    return get(name).manifest


def fetch(name: str, offline: bool | None = None) -> Path:
    """Return an intact copy of published weights; see `get` and `fetch_file`."""
    return fetch_file(get(name, offline), offline)


def fetch_file(published: Published, offline: bool | None = None) -> Path:
    """Return an intact copy of the file of published weights, fetched into the cache where there is none.

    Args:
        published: the weights.
        offline: True never opens a connection; None asks `LUNGZOO_OFFLINE`.

    Raises:
        WeightsUnavailable: it is not here and cannot be fetched; says from where and to where.
        StorageError: the cache cannot be written.
    """
    manifest, cached = published.manifest, published.cached
    if published.shipped is not None and published.shipped.is_file():
        if fault := manifest.fault(published.shipped):
            raise WeightsUnavailable(f"{published.shipped} is damaged ({fault}). Install lungzoo, or that hub, anew.")
        return published.shipped
    damage = manifest.fault(cached) if cached.exists() else None
    if cached.exists() and not damage:
        return cached
    if not published.urls:
        raise WeightsUnavailable(
            f"The weights '{manifest.name}' have no address to fetch them from. Put {manifest.file} at {cached}."
        )
    if _decided(offline):
        raise WeightsUnavailable(_offline_message(published, damage))
    from lungzoo.weights.download import download

    download(published.urls, cached, manifest)
    return cached


def _offline_message(published: Published, damage: str | None) -> str:
    manifest = published.manifest
    why = f"the copy at {published.cached} is damaged ({damage})" if damage else "they are not here"
    return (
        f"Offline, and {why}: the weights '{manifest.name}' would be fetched from {' or '.join(published.urls)} "
        f"({manifest.size_bytes / 1e6:.1f} MB). Go online, or put {manifest.file} at {published.cached}."
    )


def _shipped() -> FolderSource:
    return FolderSource(content_dir("weights"))
