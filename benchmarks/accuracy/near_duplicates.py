"""How many planted near-duplicates of a dataset's slices are found, and how many slices raise a false alarm.

Copies are shifted by up to 24 pixels, given another window and gamma, compressed as JPEG, mirrored, and every two of
these. A copy is found where it is paired with the slice it was made from. A false alarm is a slice that is paired with
a slice of another patient.

    python benchmarks/accuracy/near_duplicates.py data/lidc
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from lungzoo.data.near import NearPair, Pictures, find_near
from lungzoo.data.store import PreparedDataset

MAX_SHIFT_PX = 24
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main() -> None:
    """Print the share of planted duplicates that is found, by kind, and the false alarms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a prepared dataset in uint8, 128×128")
    parser.add_argument("--planted", type=int, default=2000, help="copies to plant")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dataset = PreparedDataset(arguments.data)
    if dataset.units != "uint8" or dataset.images.shape[1:] != (128, 128):
        parser.error("the changes are made for uint8 slices of 128×128.")
    _report_planted(dataset, arguments.planted, arguments.seed)
    _report_alarms(dataset)
    print(f"Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def _report_planted(dataset: PreparedDataset, count: int, seed: int) -> None:
    sources, kinds, copies = plant(dataset, min(count, len(dataset)), seed)
    every = np.arange(len(dataset))
    one = Pictures(copies, "uint8", np.arange(len(copies)), np.full(len(copies), -1))
    pairs, spent = _timed(lambda: find_near(one, Pictures(dataset.images, "uint8", every, every)))
    paired = {(pair.first, pair.second) for pair in pairs}
    found = np.array([(copy, source) in paired for copy, source in enumerate(sources)])
    for kind in sorted(set(kinds), key=lambda name: ("+" in name, name)):
        mine = kinds == kind
        print(f"{kind:14} {found[mine].mean():7.2%} of {mine.sum()} found")
    print(f"{'all':14} {found.mean():7.2%} of {len(found)} found, in {spent}")


def _report_alarms(dataset: PreparedDataset) -> None:
    patients, numbers = np.unique(dataset.cases["patient"].to_numpy(), return_inverse=True)
    everything = Pictures(dataset.images, "uint8", np.arange(len(dataset)), numbers)
    pairs, spent = _timed(lambda: find_near(everything))
    sizes = np.bincount(numbers).astype(float)
    possible = (len(dataset) ** 2 - (sizes**2).sum()) / 2
    slices = {row for pair in pairs for row in (pair.first, pair.second)}
    print(
        f"{len(dataset)} slices of {len(patients)} patients, in {spent}: {len(slices)} slices "
        f"({len(slices) / len(dataset):.3%}) near one of another patient; {len(pairs)} pairs of {possible:.4g} "
        f"({len(pairs) / possible:.2g})"
    )
    for line in _by_patients(pairs, dataset):
        print(line)


def _timed(search: Callable[[], list[NearPair]]) -> tuple[list[NearPair], str]:
    wall, busy = time.perf_counter(), time.process_time()
    pairs = search()
    return pairs, f"{time.perf_counter() - wall:.0f} s ({time.process_time() - busy:.0f} s of processor time)"


def _by_patients(pairs: list[NearPair], dataset: PreparedDataset) -> list[str]:
    who, names = dataset.cases["patient"].to_numpy(), dataset.cases["case"].to_numpy()
    best: dict[tuple[str, str], list[NearPair]] = {}
    for pair in pairs:
        best.setdefault((min(who[[pair.first, pair.second]]), max(who[[pair.first, pair.second]])), []).append(pair)
    return [
        f"  {one} and {other}: {len(mine)} pairs, such as {names[mine[0].first]} and {names[mine[0].second]} "
        f"({mine[0].correlation:.3f})"
        for (one, other), mine in best.items()
    ]


def plant(dataset: PreparedDataset, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows that were copied, what was done to each, and the copies uint8 (count, 128, 128)."""
    rng = np.random.default_rng(seed)
    ways = [(name,) for name in CHANGES] + list(combinations(CHANGES, 2))
    sources = rng.choice(len(dataset), count, replace=False)
    kinds, copies = [], []
    for number, row in enumerate(sources):
        way = ways[number % len(ways)]
        copy = np.asarray(dataset.images[row])
        for name in way:
            copy = CHANGES[name](copy, rng)
        kinds.append("+".join(way))
        copies.append(copy)
    return sources, np.array(kinds), np.stack(copies)


def _shift(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move by up to 24 pixels each way; what comes in is mirrored, zero or the border's value."""
    down, right = rng.integers(0, 2 * MAX_SHIFT_PX + 1, 2)
    mode = ("reflect", "constant", "edge")[rng.integers(3)]
    padded = np.pad(image, MAX_SHIFT_PX, mode=mode)  # type: ignore[call-overload]
    return np.asarray(padded[down : down + image.shape[0], right : right + image.shape[1]])


def _window(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut up to 15% of the grey values below and 30% above, or leave room above, with a gamma of 0.6 to 1.7."""
    low, high = rng.uniform(0, 0.15), rng.uniform(0.7, 1.3)
    gamma = np.exp(rng.uniform(np.log(0.6), np.log(1.7)))
    return (np.clip((image / 255 - low) / (high - low), 0, 1) ** gamma * 255).astype(np.uint8)


def _jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compress with a quality of 30 to 89."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(30, 90)))
    return np.asarray(Image.open(buffer))


def _flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror up-down, left-right or both."""
    which = int(rng.integers(1, 4))
    return np.ascontiguousarray(image[:: -1 if which & 1 else 1, :: -1 if which & 2 else 1])


CHANGES: dict[str, Change] = {"shift": _shift, "window": _window, "jpeg": _jpeg, "flip": _flip}


if __name__ == "__main__":
    main()
