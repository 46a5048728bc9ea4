"""Published weights by name: what there is, where a copy lies, and how it gets here.

Manifests ship with lungzoo. `LUNGZOO_HUB` adds to them: a folder of further manifests with their files, or the http
address of a mirror, whose copies are tried first. The sha256 of the manifest decides what is taken, whoever serves it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lungzoo.content import cache_dir, content_dir, content_names
from lungzoo.errors import ConfigError, UnknownNameError, WeightsUnavailable
from lungzoo.weights.manifest import WeightsManifest, read_manifest

PREFIX = "lungzoo:"


@dataclass(frozen=True)
class Published:
    """Weights that have a name.

    Args:
        manifest: what is known of them.
        folder: where the manifest lies.
    """

    manifest: WeightsManifest
    folder: Path

    @property
    def shipped(self) -> Path:
        """Where the file is if it came along with its manifest."""
        return self.folder / self.manifest.file

    @property
    def cached(self) -> Path:
        """Where the file is once it was fetched."""
        return weights_cache() / f"{self.manifest.sha256[:12]}-{self.manifest.file}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses to fetch it from, a mirror's first."""
        mirror = _hub()
        mirrored = (f"{mirror.rstrip('/')}/{self.manifest.file}",) if mirror and _is_address(mirror) else ()
        return (*mirrored, *self.manifest.url)

    def copies(self) -> dict[str, Path]:
        """Return the copies that are here, intact or not: "shipped", "cached"."""
        places = {"shipped": self.shipped, "cached": self.cached}
        return {kind: path for kind, path in places.items() if path.is_file()}


def weights_cache() -> Path:
    """Return the folder of fetched weights."""
    return cache_dir() / "weights"


def names() -> list[str]:
    """Return the names of all published weights, sorted."""
    return sorted(_folders())


def get(name: str) -> Published:
    """Return published weights by name, with or without "lungzoo:".

    Raises:
        UnknownNameError: no such weights.
        ConfigError: their manifest is malformed.
    """
    name, folders = name.removeprefix(PREFIX), _folders()
    if name not in folders:
        raise UnknownNameError("published weights", name, folders, "lungzoo weights list")
    path = folders[name] / f"{name}.toml"
    manifest = read_manifest(path)
    if manifest.name != name:
        raise ConfigError(f"{path}: name must be that of the file. Received: '{manifest.name}'. Allowed: '{name}'.")
    return Published(manifest, folders[name])


def find(name: str) -> WeightsManifest:
    """Return a manifest; see `get`."""
    return get(name).manifest


def fetch(name: str, offline: bool | None = None) -> Path:
    """Return an intact copy of published weights, fetched into the cache where there is none.

    Args:
        name: as `lungzoo weights list` shows it.
        offline: True never opens a connection; None asks `LUNGZOO_OFFLINE`.

    Raises:
        UnknownNameError, ConfigError: see `get`.
        WeightsUnavailable: they are not here and cannot be fetched; says from where and to where.
        StorageError: the cache cannot be written.
    """
    published = get(name)
    manifest, cached = published.manifest, published.cached
    if published.shipped.is_file():
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
    if is_offline() if offline is None else offline:
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


def _folders() -> dict[str, Path]:
    """Return {name: folder of its manifest}; what ships with lungzoo wins over a hub."""
    hub = _hub()
    found = {path.stem: path.parent for path in Path(hub).glob("*.toml")} if hub and not _is_address(hub) else {}
    return found | {name: content_dir("weights") for name in content_names("weights")}


def _hub() -> str | None:
    return os.environ.get("LUNGZOO_HUB") or None


def _is_address(hub: str) -> bool:
    return hub.startswith(("http://", "https://"))


def is_offline() -> bool:
    """Tell whether `LUNGZOO_OFFLINE` forbids connections."""
    return os.environ.get("LUNGZOO_OFFLINE", "").lower() not in ("", "0", "false", "no")
