"""Training, validation and test splits: by patient, stratified, reproducible, saved as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.data.splits.folds import (
    PARTS,
    by_unit,
    check_folds,
    deal,
    describe_scheme,
    most_frequent,
    published_parts,
    stratified_order,
)
from lungzoo.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from lungzoo.data.store import PreparedDataset
    from lungzoo.events import Progress

__all__ = [
    *("OWN_SPLIT", "PARTS", "UNNAMED", "Split", "grouping_of", "middle_slices", "needs_near"),
    *("select_rows", "split_dataset", "split_patients"),
]

OWN_SPLIT = ("split", "folds", "fold", "inner_folds", "inner_fold", "groups", "stratify")
"""Keys of the data config that deal patients out, which a split from a file has no use for."""
_UNSAID = {"grouping": "patient", "scheme": "random"}
# What `Split.grouping` says where near-duplicates stand in for patients that the source does not name.
UNNAMED = "near, patients unknown"


@dataclass(frozen=True)
class Split:
    """Patients of each part; no patient is in two.

    Args:
        train, val, test: sorted patient ids.
        split_seed: the seed that dealt them.
        dataset_fingerprint: the dataset they belong to.
        grouping: what was kept together: "patient"; "near" for patients that near-duplicate slices link; "near,
            patients unknown" where each image stands for a patient; or "case" where nothing keeps those together.
        scheme: how they were dealt: "random", "published", "file", or "fold 0 of 5, inner fold 1 of 4".
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    split_seed: int
    dataset_fingerprint: str
    grouping: str = "patient"
    scheme: str = "random"

    @property
    def fingerprint(self) -> str:
        """Identity of the split, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def rows(self, cases: pd.DataFrame, part: str) -> np.ndarray:
        """Return the row numbers of the cases whose patient is in a part ("train", "val" or "test")."""
        return np.flatnonzero(cases["patient"].isin(getattr(self, part)).to_numpy())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a grouping by patient and a random scheme go without saying."""
        return {key: value for key, value in asdict(self).items() if _UNSAID.get(key) != value}

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        path.write_text(json.dumps({**self.to_dict(), "fingerprint": self.fingerprint}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split that `save` wrote, or one made by hand: train, val, test and dataset_fingerprint.

        Raises:
            ConfigError: there is no such file, or it is not a split.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"Cannot read the split {path}: {error.strerror or error}. Check its path.") from None
        except ValueError as error:
            raise ConfigError(f"The split {path} is not valid JSON: {error}") from None
        split, stated = _read_split(values, path)
        if stated not in (None, split.fingerprint):
            raise ConfigError(
                f"The split {path} was edited: its fingerprint is another. If that was meant, remove 'fingerprint'."
            )
        return split


def split_dataset(dataset: PreparedDataset, config: DataConfig, progress: Progress | None = None) -> Split:
    """Deal a dataset's patients into training, validation and test, in whichever way the config asks for.

    Args:
        dataset: the opened dataset.
        config: the settings of the split.
        progress: called while near-duplicates are searched for, which `groups = "near"`, or a dataset whose patients
            are unknown, needs once.

    Raises:
        ConfigError: the settings contradict each other or the dataset, or would leave a part without patients.
        DatasetError: the published split cannot be used.
    """
    if config.split_file:
        return _from_file(dataset, config)
    groups, sizes = None, None
    if needs_near(dataset, config):
        from lungzoo.data.splits.groups import near_groups

        groups = near_groups(dataset, progress)
    if config.stratify == "lesion":
        sizes = _lesion_sizes(dataset, config)
    split = _split(dataset.cases, config, dataset.fingerprint, groups, sizes, grouping_of(dataset, config))
    if config.split_sha256 not in (None, split.fingerprint):
        raise ConfigError(
            "Near-duplicates are not searched for as they were: the fingerprint of the split is "
            f"{split.fingerprint[:12]}…, but data.split_sha256 is {str(config.split_sha256)[:12]}…. "
            "Use the version of lungzoo that recorded it, or remove data.split_sha256."
        )
    return split


def grouping_of(dataset: PreparedDataset, config: DataConfig) -> str:
    """Return what a split of a dataset keeps together; see `Split.grouping`.

    Raises:
        ConfigError: each image was to go its own way though the patients are known.
    """
    if dataset.patients_known:
        if config.groups == "case":
            raise ConfigError(
                "data.groups = 'case' is for datasets whose source names no patients, and "
                f"'{dataset.name}' names them: slices of one patient would be in two parts. Allowed: patient, near."
            )
        return config.groups
    return "case" if config.groups == "case" else UNNAMED


def needs_near(dataset: PreparedDataset, config: DataConfig) -> bool:
    """Return whether a split of a dataset needs its near-duplicates."""
    return not config.split_file and grouping_of(dataset, config) in ("near", UNNAMED)


def split_patients(cases: pd.DataFrame, config: DataConfig, dataset_fingerprint: str) -> Split:
    """Deal patients by what the case table alone tells of them; `split_dataset` does all that a config can ask for.

    Within each stratum (a patient's most frequent label and number of slices above or below the median) patients are
    shuffled by `split_seed` and dealt in proportion to the fractions, or to folds: each part resembles the whole.

    Args:
        cases: the case table of a dataset; needs `patient` and `label`.
        config: fractions, folds and `split_seed`.
        dataset_fingerprint: recorded in the split.

    Raises:
        ConfigError: a part would be left without patients, or the settings need more than the case table.
    """
    if config.split_file or config.groups != "patient" or config.stratify != "slices":
        raise ConfigError(
            "data.split_file, data.groups and data.stratify need the whole dataset, not only its case table. "
            "Use lungzoo.data.splits.split.split_dataset."
        )
    return _split(cases, config, dataset_fingerprint, None, None, config.groups)


def _split(
    cases: pd.DataFrame,
    config: DataConfig,
    dataset_fingerprint: str,
    groups: Mapping[str, str] | None,
    sizes: pd.Series | None,
    grouping: str = "patient",
) -> Split:
    check_folds(config)
    if config.split_sha256 and groups is None:
        raise ConfigError('data.split_sha256 belongs to data.split_file or data.groups = "near". Remove it.')
    parts = {"test": set[str](), "val": set[str]()}
    dealt, left_out = cases, set[str]()
    if config.split == "published":
        parts = published_parts(cases)
        if config.inner_folds or not parts["val"]:
            parts["val"] = set()
        left_out = _linked_to_fixed(cases, parts, groups or {})
        cases = cases[~cases["patient"].astype(str).isin(left_out)]
        dealt = cases[~cases["patient"].isin(parts["test"] | parts["val"])]
    if not parts["val"]:
        order = _order(dealt, config, groups, sizes)
        what = "patient(s)" if groups is None else f"group(s) of {'images' if grouping == UNNAMED else 'patients'}"
        dealt_out = deal(order, config, fixed_test=config.split == "published", what=what)
        for part, units in zip(("val", "test"), dealt_out, strict=True):
            parts[part] |= {
                str(patient) for patient in dealt["patient"] if (groups or {}).get(patient, patient) in units
            }
    parts["train"] = set(cases["patient"].astype(str)) - parts["val"] - parts["test"]
    who = [tuple(sorted(parts[part])) for part in PARTS]
    scheme = describe_scheme(config)
    if left_out:
        scheme += f", {len(left_out)} left out that near-duplicates link to another part"
    return Split(who[0], who[1], who[2], config.split_seed, dataset_fingerprint, grouping, scheme)


def _linked_to_fixed(cases: pd.DataFrame, parts: dict[str, set[str]], groups: Mapping[str, str]) -> set[str]:
    """Take patients out that are linked to a published test or validation part without being in it.

    The test part stays as it was published; what would let training or validation see it goes.

    Returns:
        Who is in no part now; those of `parts["val"]` are removed from it.
    """
    test = {groups.get(patient, patient) for patient in parts["test"]}
    gone = {patient for patient in parts["val"] if groups.get(patient, patient) in test}
    parts["val"] -= gone
    fixed = test | {groups.get(patient, patient) for patient in parts["val"]}
    others = set(cases["patient"].astype(str)) - parts["test"] - parts["val"]
    return gone | {patient for patient in others if groups.get(patient, patient) in fixed}


def _order(
    cases: pd.DataFrame, config: DataConfig, groups: Mapping[str, str] | None, sizes: pd.Series | None
) -> list[str]:
    """Return patients, or names of groups, so that neighbours are alike."""
    labels = by_unit(cases["label"], cases, groups)
    if sizes is None:
        measured, levels = labels.size(), 2
    else:
        measured, levels = by_unit(sizes.loc[cases.index], cases, groups).max(), 3
    rng = np.random.default_rng(config.split_seed)
    return stratified_order(labels.agg(most_frequent).sort_index(), measured.sort_index(), levels, rng)


def _lesion_sizes(dataset: PreparedDataset, config: DataConfig) -> pd.Series:
    """Return the lesion area of every slice in mm², or in pixels where some slice's spacing is unknown."""
    import pandas as pd

    cases = dataset.cases
    pixel_mm2 = (cases["spacing_y_mm"] * cases["spacing_x_mm"]).to_numpy(float)
    areas = dataset.lesion_px(config.consensus_readers).astype(float)
    return pd.Series(areas * pixel_mm2 if np.isfinite(pixel_mm2).all() else areas, cases.index)


def _from_file(dataset: PreparedDataset, config: DataConfig) -> Split:
    if given := [key for key in OWN_SPLIT if getattr(config, key) != DataConfig.model_fields[key].default]:
        raise ConfigError(f"data.split_file says who is in which part. Remove data.{given[0]}.")
    path = Path(str(config.split_file))
    split = as_read = Split.load(path)
    if split.scheme == "file" and split.grouping == "patient" and not dataset.patients_known:
        split = replace(split, grouping="case")  # made by hand, of names that are images
    if split.dataset_fingerprint != dataset.fingerprint:
        raise ConfigError(
            f"The split {path} belongs to a dataset with the fingerprint {split.dataset_fingerprint[:12]}…, but "
            f"'{dataset.name}' has {dataset.fingerprint[:12]}…. Use the dataset that it was made for."
        )
    if config.split_sha256 not in (None, split.fingerprint, as_read.fingerprint):
        raise ConfigError(
            f"The split {path} has changed: its fingerprint is {split.fingerprint[:12]}…, but data.split_sha256 is "
            f"{str(config.split_sha256)[:12]}…."
        )
    known = set(dataset.cases["patient"].astype(str))
    if strange := sorted({*split.train, *split.val, *split.test} - known):
        raise ConfigError(
            f"The split {path} names {len(strange)} patient(s) that '{dataset.name}' lacks, such as {strange[0]}."
        )
    return split


def _read_split(values: Any, path: Path) -> tuple[Split, str | None]:
    """Return the split that a file's values mean, and the fingerprint that the file states."""
    keys = ("train", "val", "test", "dataset_fingerprint")
    if not isinstance(values, dict) or (missing := [key for key in keys if key not in values]):
        lacks = ", ".join(missing) if isinstance(values, dict) else "all keys"
        raise ConfigError(f"The split {path} lacks {lacks}. Needed: {', '.join(keys)}.")
    for part in PARTS:
        ids = values[part]
        if not isinstance(ids, list) or not ids or not all(isinstance(patient, str) for patient in ids):
            raise ConfigError(f"The split {path}: '{part}' must be a list of one or more patient ids.")
    counted = [patient for part in PARTS for patient in values[part]]
    if len(counted) != len(set(counted)):
        twice = sorted({patient for patient in counted if counted.count(patient) > 1})
        raise ConfigError(f"The split {path} has {len(twice)} patient(s) more than once, such as {twice[0]}.")
    stated, seed = values.get("fingerprint"), values.get("split_seed", 0)
    if not isinstance(seed, int):
        raise ConfigError(f"The split {path}: 'split_seed' must be a whole number. Received: {seed!r}")
    scheme = values.get("scheme", "random" if stated else "file")
    who = [tuple(sorted(values[part])) for part in PARTS]
    grouping = str(values.get("grouping", "patient"))
    split = Split(who[0], who[1], who[2], seed, str(values["dataset_fingerprint"]), grouping, str(scheme))
    return split, stated


def select_rows(dataset: PreparedDataset, split: Split, config: DataConfig) -> dict[str, np.ndarray]:
    """Return the row numbers of each part that the config uses, ascending.

    Raises:
        ConfigError: a part is left without slices.
    """
    usable = np.ones(len(dataset), bool)
    if config.disputed == "drop":
        usable &= ~dataset.disputed(config.consensus_readers)
    if config.labels:
        usable &= dataset.cases["label"].isin(config.labels).to_numpy()
    chosen = {}
    for part in PARTS:
        rows = split.rows(dataset.cases, part)
        chosen[part] = middle_slices(dataset.cases, rows[usable[rows]], config.max_slices_per_volume)
        if not len(chosen[part]) and config.labels:
            raise ConfigError(
                f"The {part} split of '{dataset.name}' has no slices of the labels {', '.join(config.labels)}. "
                "Change data.labels, or use another data.split_seed."
            )
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
