"""What training and testing share that they must not: patients, volumes, slices, near-duplicates of slices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lungzoo.atomic import write_atomic
from lungzoo.data.near import METHOD, NearPair, Pictures, find_near
from lungzoo.data.splits.split import PARTS, Split
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import storage_error
from lungzoo.events import Progress

AUDIT_FILE = "audit.json"
_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One kind of thing that two sets of slices share.

    Args:
        kind: "same patient", "same volume", "same slice", "near-same slice" or "patient seen by weights".
        between: the two sets, such as "train and test".
        count: patients, volumes, or pairs of slices.
        examples: the first few, named.
    """

    kind: str
    between: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}, {self.between}: {self.count}, such as {self.examples[0]}"


@dataclass(frozen=True)
class Audit:
    """What was looked for, and what was found.

    Args:
        subject: what was compared with what, in words.
        dataset_fingerprint, split_fingerprint: what the answer holds for.
        looked_for: kinds of sharing.
        findings: those that occur; none where nothing leaks.
        notes: what could not be compared, and why.
    """

    subject: str
    dataset_fingerprint: str
    split_fingerprint: str
    looked_for: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> bool:
        """Whether anything was found."""
        return bool(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"leaks": self.leaks, **asdict(self)}


def audit_split(dataset: PreparedDataset, split: Split, near: Sequence[NearPair] | None) -> Audit:
    """Compare the parts of a split with each other.

    Args:
        dataset: the opened dataset.
        split: one of its splits.
        near: its near-duplicates among different patients, see `near_pairs`; None leaves them out.
    """
    found = [*shared_patients(split), *shared_volumes(dataset, split), *_shared_slices(dataset, split, near or ())]
    looked_for = ("same patient", "same volume", "same slice", *(("near-same slice",) if near is not None else ()))
    subject = f"the parts of '{dataset.name}', {split.scheme} split, seed {split.split_seed}"
    notes = () if near is not None else ("Near-duplicates were not looked for.",)
    return Audit(subject, dataset.fingerprint, split.fingerprint, looked_for, tuple(found), notes)


def audit_against(
    dataset: PreparedDataset, split: Split, other: PreparedDataset, near: bool = True, progress: Progress | None = None
) -> Audit:
    """Compare all of another dataset, such as one that weights were trained on, with the test part of a split.

    Args:
        dataset: the dataset that is tested on.
        split: says which of it is for testing.
        other: the other dataset.
        near: whether to look for near-duplicates.
        progress: called with (blocks of pairs done, in all).
    """
    rows, all_rows = split.rows(dataset.cases, "test"), np.arange(len(other))
    between = f"{other.name} and test"
    theirs = {_plain(name): name for name in other.cases["patient"].astype(str)}
    same = [f"{theirs[_plain(name)]} = {name}" for name in split.test if _plain(name) in theirs]
    found = [*_finding("same patient", between, same)]
    one, two = other.cases["case"].to_numpy(), dataset.cases["case"].to_numpy()
    twins = _identical(_digests(other, all_rows), _digests(dataset, rows))
    found += _finding("same slice", between, [f"{one[a]} = {two[b]}" for a, b in twins])
    if near:
        pairs = find_near(
            Pictures(other.images, other.units, all_rows, np.full(len(all_rows), -1)),
            Pictures(dataset.images, dataset.units, rows, np.arange(len(rows))),
            progress,
        )
        seen = set(twins)
        named = [f"{one[p.first]} ~ {two[p.second]}" for p in pairs if (p.first, p.second) not in seen]
        found += _finding("near-same slice", between, named)
    looked_for = ("same patient", "same slice", *(("near-same slice",) if near else ()))
    subject = f"'{other.name}' and the test part of '{dataset.name}', {split.scheme} split, seed {split.split_seed}"
    return Audit(subject, dataset.fingerprint, split.fingerprint, looked_for, tuple(found), _caveats(dataset, other))


def audit_patients(dataset: PreparedDataset, split: Split, seen: Iterable[str], name: str) -> Audit:
    """Compare the patients that weights have seen with the test part of a split.

    Args:
        dataset: the dataset that is tested on.
        split: says which patients are for testing.
        seen: the patients that the weights were trained on or chosen by; none where the weights do not tell.
        name: of the weights.
    """
    known, both = tuple(seen), common_patients(seen, split.test)
    notes = [] if known else [f"'{name}' does not tell which patients it has seen."]
    if known and not both:
        notes.append(
            "Patients are compared by id. Where the weights' data has other ids, compare the slices: --against"
        )
    return Audit(
        f"patients seen by '{name}' and the test part of '{dataset.name}', seed {split.split_seed}",
        dataset.fingerprint,
        split.fingerprint,
        ("patient seen by weights",),
        tuple(_finding("patient seen by weights", f"{name} and test", both)),
        tuple(notes),
    )


def common_patients(seen: Iterable[str], test: Iterable[str]) -> list[str]:
    """Return the test patients that are among others, whatever the case of their ids; sorted."""
    known = {_plain(patient) for patient in seen}
    return sorted(patient for patient in test if _plain(patient) in known)


def shared_patients(split: Split) -> list[Finding]:
    """Return patients of two parts whose ids differ in nothing but case and spaces."""
    found = []
    for one, other in combinations(PARTS, 2):
        names = {_plain(patient): patient for patient in getattr(split, one)}
        both = [f"{names[_plain(p)]} = {p}" for p in getattr(split, other) if _plain(p) in names]
        found += _finding("same patient", f"{one} and {other}", both)
    return found


def shared_volumes(dataset: PreparedDataset, split: Split) -> list[Finding]:
    """Return volumes of one name, or of one DICOM series, in two parts."""
    series = {name: info.series_uid for name, info in dataset.volumes.items() if info.series_uid}
    volumes = dataset.cases["volume"].astype(str).map(lambda name: series.get(name, name)).to_numpy()
    names = {part: set(volumes[split.rows(dataset.cases, part)]) for part in PARTS}
    found = []
    for one, other in combinations(PARTS, 2):
        found += _finding("same volume", f"{one} and {other}", sorted(names[one] & names[other]))
    return found


def save_audit(dataset: PreparedDataset, audit: Audit) -> None:
    """Keep an audit of a split in the dataset's folder, beside those of its other splits, for `recorded_audit`.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = dataset.path / AUDIT_FILE
    splits = {**_recorded(dataset), audit.split_fingerprint: audit.to_dict()}
    text = json.dumps({"dataset_fingerprint": dataset.fingerprint, "method": METHOD, "splits": splits}, indent=1)
    try:
        write_atomic(path, text + "\n")
    except OSError as error:
        raise storage_error("keep the audit in", error) from error


def recorded_audit(dataset: PreparedDataset, split: Split) -> Audit | None:
    """Return the audit of a split that `save_audit` kept; None without one, or with one of other data or methods."""
    try:
        kept = _recorded(dataset)[split.fingerprint]
        findings = [Finding(f["kind"], f["between"], int(f["count"]), tuple(f["examples"])) for f in kept["findings"]]
        return Audit(
            str(kept["subject"]),
            dataset.fingerprint,
            split.fingerprint,
            tuple(kept["looked_for"]),
            tuple(findings),
            tuple(kept["notes"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _recorded(dataset: PreparedDataset) -> dict[str, Any]:
    try:
        kept = json.loads((dataset.path / AUDIT_FILE).read_text(encoding="utf-8"))
        same = kept["dataset_fingerprint"] == dataset.fingerprint and kept["method"] == METHOD
        return dict(kept["splits"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _shared_slices(dataset: PreparedDataset, split: Split, near: Sequence[NearPair]) -> list[Finding]:
    names = dataset.cases["case"].to_numpy()
    rows = {part: split.rows(dataset.cases, part) for part in PARTS}
    part_of = {int(row): part for part in PARTS for row in rows[part]}
    digests = {part: _digests(dataset, rows[part]) for part in PARTS}
    found = []
    for one, other in combinations(PARTS, 2):
        between = f"{one} and {other}"
        twins = _identical(digests[one], digests[other])
        found += _finding("same slice", between, [f"{names[a]} = {names[b]}" for a, b in twins])
        seen = {frozenset(pair) for pair in twins}
        similar = [
            pair
            for pair in near
            if {part_of.get(pair.first), part_of.get(pair.second)} == {one, other}
            and frozenset((pair.first, pair.second)) not in seen
        ]
        found += _finding("near-same slice", between, [f"{names[p.first]} ~ {names[p.second]}" for p in similar])
    return found


def _digests(dataset: PreparedDataset, rows: np.ndarray) -> dict[bytes, list[int]]:
    """Return rows by the hash of their pixels, but for slices of one value, which are no picture."""
    by_hash: dict[bytes, list[int]] = {}
    for row in rows:
        image = np.ascontiguousarray(dataset.images[row])
        if image.min() != image.max():
            key = hashlib.blake2b(image.data, digest_size=16, person=str(image.dtype).encode()[:16]).digest()
            by_hash.setdefault(key, []).append(int(row))
    return by_hash


def _identical(one: dict[bytes, list[int]], other: dict[bytes, list[int]]) -> list[tuple[int, int]]:
    return [(a, b) for key in one if key in other for a in one[key] for b in other[key]]


def _caveats(dataset: PreparedDataset, other: PreparedDataset) -> tuple[str, ...]:
    shapes = ["×".join(map(str, data.images.shape[1:])) for data in (other, dataset)]
    if shapes[0] == shapes[1]:
        return ()
    return (
        f"'{other.name}' has slices of {shapes[0]} and '{dataset.name}' of {shapes[1]}: near-duplicates are found "
        "where both show the same field of view, not where one is a detail of the other.",
    )


def _finding(kind: str, between: str, named: Sequence[str]) -> list[Finding]:
    return [Finding(kind, between, len(named), tuple(named[:_EXAMPLES]))] if named else []


def _plain(patient: str) -> str:
    return patient.strip().casefold()
