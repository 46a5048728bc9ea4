"""Training, validation and test splits: by patient, stratified, reproducible, saved as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from lungzoo.data.store import PreparedDataset

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Patients of each part; no patient is in two.

    Args:
        train, val, test: sorted patient ids.
        split_seed: the seed that dealt them.
        dataset_fingerprint: the dataset they belong to.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    split_seed: int
    dataset_fingerprint: str

    @property
    def fingerprint(self) -> str:
        """Identity of the split, 64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def rows(self, cases: pd.DataFrame, part: str) -> np.ndarray:
        """Return the row numbers of the cases whose patient is in a part ("train", "val" or "test")."""
        return np.flatnonzero(cases["patient"].isin(getattr(self, part)).to_numpy())

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        path.write_text(json.dumps({**asdict(self), "fingerprint": self.fingerprint}, indent=1) + "\n")


def split_patients(cases: pd.DataFrame, config: DataConfig, dataset_fingerprint: str) -> Split:
    """Deal patients into training, validation and test.

    Within each stratum (a patient's most frequent label and number of slices above or below the median) patients are
    shuffled by `split_seed` and dealt in proportion to the fractions, so that each part resembles the whole.

    Args:
        cases: the case table of a dataset; needs `patient` and `label`.
        config: fractions and `split_seed`.
        dataset_fingerprint: recorded in the split.

    Raises:
        ConfigError: a part would be left without patients.
    """
    ordered = _stratified_order(cases, np.random.default_rng(config.split_seed))
    n = len(ordered)
    n_test, n_val = round(n * config.test_fraction), round(n * config.val_fraction)
    if min(n_test, n_val, n - n_test - n_val) < 1:
        raise ConfigError(
            f"The dataset has {n} patient(s), too few to split into training, validation and test with fractions "
            f"{1 - config.val_fraction - config.test_fraction:.2f}/{config.val_fraction}/{config.test_fraction}. "
            "Use a dataset with more patients, or larger fractions."
        )
    # Evenly spaced positions along the stratified order give each part its share of every stratum.
    part = np.zeros(n, dtype=int)
    part[_spread(np.arange(n), n_test)] = 2
    part[_spread(np.flatnonzero(part == 0), n_val)] = 1
    chosen = [tuple(sorted(p for p, k in zip(ordered, part, strict=True) if k == which)) for which in range(3)]
    return Split(chosen[0], chosen[1], chosen[2], config.split_seed, dataset_fingerprint)


def select_rows(dataset: PreparedDataset, split: Split, config: DataConfig) -> dict[str, np.ndarray]:
    """Return the row numbers of each part that the config uses, ascending.

    Raises:
        ConfigError: a part is left without slices.
    """
    usable = np.ones(len(dataset), bool)
    if config.disputed == "drop":
        usable &= ~dataset.disputed(config.consensus_readers)
    chosen = {}
    for part in PARTS:
        rows = split.rows(dataset.cases, part)
        chosen[part] = middle_slices(dataset.cases, rows[usable[rows]], config.max_slices_per_volume)
        if not len(chosen[part]):
            raise ConfigError(
                f"The {part} split of '{dataset.name}' has no slices that {config.consensus_readers} readers agree on. "
                'Lower data.consensus_readers, or set data.disputed = "keep".'
            )
    return chosen


def middle_slices(cases: pd.DataFrame, rows: np.ndarray, most: int | None) -> np.ndarray:
    """Return `rows`, thinned to the slices of each volume that are nearest to its middle."""
    if most is None:
        return rows
    kept: list[int] = []
    for _, group in cases.iloc[rows].assign(row=rows).groupby("volume", sort=False):
        ordered = group.sort_values("z")["row"].to_numpy()
        spare = max(len(ordered) - most, 0)
        kept.extend(ordered[spare // 2 : spare // 2 + most])
    return np.sort(np.asarray(kept, dtype=rows.dtype))


def _stratified_order(cases: pd.DataFrame, rng: np.random.Generator) -> list[str]:
    """Return the patients so that neighbours are alike, and in random order where they are equally alike."""
    labels = cases.groupby("patient")["label"].agg(_most_frequent).sort_index()
    slices = cases.groupby("patient")["label"].size().sort_index()
    many = (slices > slices.median()).to_numpy()
    order = np.lexsort((rng.permutation(len(labels)), many, labels.to_numpy(str)))
    return [str(patient) for patient in labels.index[order]]


def _most_frequent(labels: pd.Series) -> str:
    return str(labels.mode().iloc[0])


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    return positions[((np.arange(count) + 0.5) * len(positions) / count).astype(int)]
