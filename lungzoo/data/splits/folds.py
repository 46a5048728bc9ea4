"""Who is in which part: patients or groups of them, dealt so that each part resembles the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import pandas as pd
    from pandas.core.groupby import SeriesGroupBy

PUBLISHED_COLUMN = "published_split"
PARTS = ("train", "val", "test")


def check_folds(config: DataConfig) -> None:
    """Refuse settings of the split that contradict each other; raises ConfigError."""
    for key, number, count in (
        ("fold", config.fold, config.folds),
        ("inner_fold", config.inner_fold, config.inner_folds),
    ):
        if number >= (count or 1):
            allowed = f"0 to {count - 1}" if count else f"0, unless data.{key}s is set"
            raise ConfigError(f"data.{key} names no fold. Received: {number}. Allowed: {allowed}.")
    if config.split == "published" and config.folds:
        raise ConfigError(
            'data.folds would deal other test patients than data.split = "published" has. Remove one of them; '
            "data.inner_folds goes with either."
        )


def stratified_order(labels: pd.Series, sizes: pd.Series, levels: int, rng: np.random.Generator) -> list[str]:
    """Return names so that neighbours are alike, and in random order where they are equally alike.

    Args:
        labels: class of each name, sorted by name.
        sizes: a number for each of the same names.
        levels: 2 parts the sizes at their median, 3 at their thirds.
        rng: decides between equals.
    """
    ends = [sizes.median()] if levels == 2 else [sizes.quantile(level / levels) for level in range(1, levels)]
    level = np.searchsorted(np.asarray(ends, float), sizes.to_numpy(float), side="left")
    order = np.lexsort((rng.permutation(len(labels)), level, labels.to_numpy(str)))
    return [str(name) for name in labels.index[order]]


def deal(
    order: Sequence[str], config: DataConfig, fixed_test: bool = False, what: str = "patient(s)"
) -> tuple[set[str], set[str]]:
    """Choose names for validation and for testing; the others are for training.

    Evenly spaced places along the order give each part its share of every stratum, and every fold too: fold k of n has
    places k, k + n, k + 2n, and so on.

    Args:
        order: from `stratified_order`.
        config: fractions and folds.
        fixed_test: the test patients are not among the names.
        what: the names are of, for messages.

    Raises:
        ConfigError: a part would be left without patients.
    """
    n = len(order)
    places = np.arange(n)
    if fixed_test:
        test = places[:0]
    elif config.folds:
        test = places[config.fold :: config.folds]
    else:
        test = _spread(places, round(n * config.test_fraction))
    rest = np.setdiff1d(places, test)
    if config.inner_folds:
        val = rest[config.inner_fold :: config.inner_folds]
    else:
        val = _spread(rest, min(round(n * config.val_fraction), len(rest)))
    if min(len(val), n - len(test) - len(val)) < 1 or not (len(test) or fixed_test):
        raise ConfigError(_too_few(n, config, fixed_test, what))
    return {order[place] for place in val}, {order[place] for place in test}


def published_parts(cases: pd.DataFrame) -> dict[str, set[str]]:
    """Return the patients of each part as the dataset's publishers dealt them; "val" may be empty.

    Raises:
        ConfigError: the dataset has no published split.
        DatasetError: a value that names no part, a patient in two parts, no patients for training or testing.
    """
    if PUBLISHED_COLUMN not in cases:
        raise ConfigError(
            "The dataset has no published split (no case column 'published_split'). "
            'Use data.split = "random", or a split of your own with data.split_file.'
        )
    values = cases[PUBLISHED_COLUMN].astype(str)
    if unknown := sorted(set(values) - set(PARTS)):
        raise DatasetError(
            f"The column '{PUBLISHED_COLUMN}' must name a part for every slice. Received: '{unknown[0]}' for "
            f"{int((values == unknown[0]).sum())} slice(s). Allowed: {', '.join(PARTS)}."
        )
    parts = {part: set(cases["patient"][values == part].astype(str)) for part in PARTS}
    for one, other in (("train", "test"), ("val", "test"), ("train", "val")):
        if both := sorted(parts[one] & parts[other]):
            raise DatasetError(
                f"The published split has slices of {len(both)} patient(s), such as {both[0]}, in {one} and in "
                f'{other}. Results would rest on patients that training has seen. Use data.split = "random".'
            )
    for part in ("train", "test"):
        if not parts[part]:
            raise DatasetError(f"The published split has no slices for '{part}'. Use data.split = \"random\".")
    return parts


def describe_scheme(config: DataConfig) -> str:
    """Return how patients are dealt, such as "fold 0 of 5, inner fold 1 of 4" (folds count from 0)."""
    scheme = f"fold {config.fold} of {config.folds}" if config.folds else config.split
    return f"{scheme}, inner fold {config.inner_fold} of {config.inner_folds}" if config.inner_folds else scheme


def most_frequent(labels: pd.Series) -> str:
    """Return the label that most slices have; the first in the alphabet among equals."""
    return str(labels.mode().iloc[0])


def by_unit(values: pd.Series, cases: pd.DataFrame, groups: Mapping[str, str] | None) -> SeriesGroupBy:
    """Group a value per slice by patient, or by the group that a patient belongs to."""
    patients = cases["patient"]
    return values.groupby(patients if groups is None else patients.map(groups))


def _too_few(n: int, config: DataConfig, fixed_test: bool, what: str) -> str:
    if config.folds or config.inner_folds:
        outer = f"{config.folds} folds" if config.folds else "a test split"
        inner = f"{config.inner_folds} inner folds" if config.inner_folds else "a validation split"
        return (
            f"The dataset has {n} {what}, too few for {outer} with {inner}. "
            "Use fewer folds, or a dataset with more patients."
        )
    if fixed_test:
        return (
            f"The published training split has {n} {what}, too few to take a share of {config.val_fraction} for "
            "validation. Use a larger data.val_fraction."
        )
    return (
        f"The dataset has {n} {what}, too few to split into training, validation and test with fractions "
        f"{1 - config.val_fraction - config.test_fraction:.2f}/{config.val_fraction}/{config.test_fraction}. "
        "Use a dataset with more patients, or larger fractions."
    )


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(positions[((np.arange(count) + 0.5) * len(positions) / max(count, 1)).astype(int)])
