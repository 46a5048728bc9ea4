"""Which patients near-duplicate slices link, for data whose patient ids are missing or wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from lungzoo.atomic import write_atomic
from lungzoo.content import cache_dir
from lungzoo.data.near import METHOD, NearPair, Pictures, find_near
from lungzoo.data.store import PreparedDataset
from lungzoo.events import Progress


def near_groups(dataset: PreparedDataset, progress: Progress | None = None) -> dict[str, str]:
    """Return for every patient the name of its group: the first patient it is linked to, over any number of links.

    Args:
        dataset: where patients are unknown, each slice is a patient of its own.
        progress: called with (blocks of pairs done, in all), the first time that a dataset is searched.
    """
    patients = dataset.cases["patient"].astype(str).to_numpy()
    links = ((patients[pair.first], patients[pair.second]) for pair in near_pairs(dataset, progress))
    return linked(sorted(set(patients)), links)


def linked(names: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for every name the first one, by the alphabet, of those it is linked to."""
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for one, other in links:
        first, second = sorted((find(one), find(other)))
        leader[second] = first
    return {name: find(name) for name in leader}


def near_pairs(dataset: PreparedDataset, progress: Progress | None = None) -> list[NearPair]:
    """Return the near-duplicates among slices of different patients.

    They are searched for once per dataset: minutes for thousands of slices. The answer is kept in the user's cache.
    """
    path = cache_dir() / "near" / f"{dataset.fingerprint}-{METHOD}.json"
    known = _load(path, len(dataset))
    if known is not None:
        return known
    numbers = np.unique(dataset.cases["patient"].astype(str).to_numpy(), return_inverse=True)[1]
    pairs = find_near(Pictures(dataset.images, dataset.units, np.arange(len(dataset)), numbers), progress=progress)
    _save(path, pairs)
    return pairs


def _load(path: Path, rows: int) -> list[NearPair] | None:
    """Return what is kept, or None where it is absent or damaged and has to be found again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        pairs = [
            NearPair(int(a), int(b), float(r), (int(y), int(x)), (bool(u), bool(v))) for a, b, r, y, x, u, v in kept
        ]
    except (OSError, ValueError, TypeError):
        return None
    return pairs if all(0 <= row < rows for pair in pairs for row in (pair.first, pair.second)) else None


def _save(path: Path, pairs: list[NearPair]) -> None:
    rows = [[pair.first, pair.second, pair.correlation, *pair.shift_px, *pair.flip] for pair in pairs]
    with suppress(OSError):  # a cache that cannot be written costs time, not results
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(rows))
