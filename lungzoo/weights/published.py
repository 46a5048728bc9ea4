"""Weights that have a name: what is known of them, where a copy lies, where one comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lungzoo.content import cache_dir
from lungzoo.weights.manifest import WeightsManifest


@dataclass(frozen=True)
class Published:
    """Weights that have a name.

    Args:
        manifest: what is known of them.
        folder: where the manifest lies; None where only an address has it.
        bases: addresses of folders that may hold the file, tried before those that the manifest names.
        where: the hub that they are of, for people; "" for those that ship.
    """

    manifest: WeightsManifest
    folder: Path | None
    bases: tuple[str, ...] = ()
    where: str = ""

    @property
    def shipped(self) -> Path | None:
        """Where the file is if it came along with its manifest."""
        return self.folder / self.manifest.file if self.folder else None

    @property
    def cached(self) -> Path:
        """Where the file is once it was fetched."""
        return weights_cache() / f"{self.manifest.sha256[:12]}-{self.manifest.file}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses to fetch it from."""
        return (*(f"{base}/{self.manifest.file}" for base in self.bases), *self.manifest.url)

    def copies(self) -> dict[str, Path]:
        """Return the copies that are here, intact or not: "shipped" or "hub", "cached"."""
        places = {"hub" if self.where else "shipped": self.shipped, "cached": self.cached}
        return {kind: path for kind, path in places.items() if path is not None and path.is_file()}


def weights_cache() -> Path:
    """Return the folder of fetched weights."""
    return cache_dir() / "weights"


def hub_cache() -> Path:
    """Return the folder of what was last read of hubs: indexes and manifests."""
    return cache_dir() / "hubs"


def is_offline() -> bool:
    """Tell whether `LUNGZOO_OFFLINE` forbids connections."""
    return os.environ.get("LUNGZOO_OFFLINE", "").lower() not in ("", "0", "false", "no")
