"""Which cases may be read: those of the one part that is asked for, none of which a model has seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lungzoo.checks import without_parts
from lungzoo.config import DataConfig, ScoreConfig
from lungzoo.data.splits.audit import common_patients
from lungzoo.data.splits.split import Split, select_rows
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError
from lungzoo.inference.protocol import protocol_of
from lungzoo.schema import parse
from lungzoo.weights.manifest import Patients, WeightsManifest

Part = Literal["val", "test"]
_TITLES = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class HeldOut:
    """Cases of one part of a split.

    Args:
        part: which one.
        dataset: with the masks of all other parts left unread.
        rows: of its cases that count, ascending.
        data, score: as the first weights were trained and scored.
        note: what is unusual about the dataset; "" for nothing.
    """

    part: Part
    dataset: PreparedDataset
    rows: np.ndarray
    data: DataConfig
    score: ScoreConfig
    note: str = ""

    @property
    def patients(self) -> np.ndarray:
        """Patient of each case."""
        return self.dataset.cases["patient"].to_numpy(str)[self.rows]


def held_out(manifests: Sequence[WeightsManifest], dataset: PreparedDataset, part: Part) -> HeldOut:
    """Find the cases of the part that the manifest of the first weights names.

    Args:
        manifests: of all members; the first one's patients, readers and smallest lesion count.
        dataset: the dataset that they were trained on.
        part: "val" or "test".

    Raises:
        ConfigError: the manifest names no such patients, the dataset lacks them, or a member has seen some of them.
    """
    first = manifests[0]
    patients = check_members(manifests, part)
    data = protocol_of(first).data
    score = parse(ScoreConfig, dict(first.protocol.get("score", {})), f"Protocol of the weights '{first.name}', score")
    split = _split(first, patients, dataset)
    open_part = without_parts(dataset, split, (part,))
    return HeldOut(part, open_part, select_rows(open_part, split, data)[part], data, score, _note(first, dataset))


def check_members(manifests: Sequence[WeightsManifest], part: Part) -> Patients:
    """Return the patients that the first manifest names; raises as `held_out`, and reads no dataset."""
    patients = _patients(manifests[0], part)
    for manifest in manifests:
        _check_unseen(manifest, getattr(patients, part), part)
    return patients


def _patients(manifest: WeightsManifest, part: Part) -> Patients:
    patients = manifest.trained_on.patients if manifest.trained_on else Patients()
    if not getattr(patients, part):
        raise ConfigError(
            f"The manifest of '{manifest.name}' names no {_TITLES[part]} patients, so nothing can be chosen or shown "
            "without cases that training may have seen. Use weights of a run, or publish them anew."
        )
    return patients


def _check_unseen(manifest: WeightsManifest, patients: Sequence[str], part: Part) -> None:
    """Refuse members, such as those of another fold, that have seen cases of this part."""
    about = manifest.trained_on
    if about is None or not about.patients.train:
        raise ConfigError(
            f"The manifest of '{manifest.name}' does not say which patients it was trained on, so it may have seen the "
            f"{_TITLES[part]} cases. Leave it out."
        )
    own, before = about.patients.train, about.inherited.train
    if part == "test":  # validation cases chose the best epoch, too, so they may have done so before
        own, before = about.learnt_from, (*before, *about.inherited.val)
    if both := common_patients(own, patients):
        raise ConfigError(
            f"The weights '{manifest.name}' were trained on {len(both)} of the {len(patients)} {_TITLES[part]} "
            f"patients, such as {both[0]}. Members must share a split: take the seeds of one fold."
        )
    if both := common_patients(before, patients):
        raise ConfigError(
            f"What the weights '{manifest.name}' started from was trained on {len(both)} of the {len(patients)} "
            f"{_TITLES[part]} patients, such as {both[0]}. Take weights whose start has not seen these."
        )


def _split(manifest: WeightsManifest, patients: Patients, dataset: PreparedDataset) -> Split:
    known = set(dataset.cases["patient"].astype(str))
    everyone = {*patients.train, *patients.val, *patients.test}
    if lacking := sorted(everyone - known):
        raise ConfigError(
            f"'{dataset.name}' lacks {len(lacking)} of the {len(everyone)} patients of '{manifest.name}', such as "
            f"{lacking[0]}. Give the dataset that the weights were trained on."
        )
    seed = manifest.trained_on.split_seed if manifest.trained_on else None
    return Split(patients.train, patients.val, patients.test, seed or 0, dataset.fingerprint)


def _note(manifest: WeightsManifest, dataset: PreparedDataset) -> str:
    if manifest.trained_on is None or manifest.trained_on.fingerprint == dataset.fingerprint:
        return ""
    return (
        f"'{dataset.name}' has another fingerprint than the dataset that '{manifest.name}' was trained on; its "
        "patients are the same by name. That is fine where only labels were added, or it was imported anew."
    )
