"""Built-in datasets: made once, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from lungzoo.config import PhantomConfig
from lungzoo.content import cache_dir
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError
from lungzoo.events import Progress


def phantom_dataset(config: PhantomConfig, progress: Progress | None = None) -> PreparedDataset:
    """Open the phantom of a config, making it on first use and again where the cached one is damaged."""
    path = _path(config)
    if path.exists():
        try:
            return PreparedDataset(path)
        except DatasetError:
            shutil.rmtree(path)
    import_dataset(PhantomReader(config), "phantom", path, progress)
    return PreparedDataset(path)


def made_phantom(config: PhantomConfig) -> PreparedDataset | None:
    """Open the phantom of a config; None where the cache has none, or a damaged one."""
    path = _path(config)
    try:
        return PreparedDataset(path) if path.exists() else None
    except DatasetError:
        return None


def _path(config: PhantomConfig) -> Path:
    identity = f"{config.canonical()} revision {PhantomReader.revision}"
    return cache_dir() / "datasets" / f"phantom-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
