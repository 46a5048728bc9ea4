"""What is known of a weights file: its model, hash, licence, training patients and scores."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from lungzoo.atomic import write_atomic
from lungzoo.config import ModelConfig
from lungzoo.errors import ConfigError, storage_error
from lungzoo.schema import Frozen, Option, parse, parse_toml, read_toml
from lungzoo.weights.toml import toml_text

NAME = r"^[a-z0-9][a-z0-9._-]*$"
"""What published weights may be called; no such name leaves a folder."""
FILE = r"^[A-Za-z0-9][A-Za-z0-9._-]*\.npz$"
HEX = r"^[0-9a-f]{64}$"
MAX_BYTES = 4 * 2**30
"""Largest weights file that is fetched or read."""
MAX_MANIFEST_BYTES = 2**24
_WITHOUT_PATIENTS = ("random", "imagenet")
"""How `source` begins where no patient is behind it."""


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_date_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else value


def _without_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


Bound = Annotated[float | None, BeforeValidator(_without_nan)]


class Score(Frozen):
    """A mean on the test split with its interval."""

    mean: float
    """Mean over the cases."""
    low: Bound = None
    """Lower end of the 95% interval; absent where fewer than two patients count."""
    high: Bound = None
    """Upper end, likewise."""
    cases: int = Field(ge=1)
    """Slices that the mean rests on."""
    patients: int = Field(ge=1)
    """Patients that they come from."""


class Patients(Frozen):
    """Who was used for what; no patient is in two parts."""

    train: tuple[str, ...] = ()
    """Patients that the weights were fitted to."""
    val: tuple[str, ...] = ()
    """Patients that the best epoch was chosen by."""
    test: tuple[str, ...] = ()
    """Patients that the metrics come from."""

    @model_validator(mode="after")
    def _check(self) -> Patients:
        counts = Counter([*self.train, *self.val, *self.test])
        twice = sorted(patient for patient, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"each patient belongs to one part, once. Received more than once: {', '.join(twice[:5])}")
        return self


class Inherited(Frozen):
    """What the weights that training started from, and those before them, had learnt from."""

    train: tuple[str, ...] = ()
    """Patients that one of them was fitted to."""
    val: tuple[str, ...] = ()
    """Patients that one of them was chosen by, and none fitted to."""
    complete: bool = False
    """These are all; otherwise one of them does not say."""


class TrainedOn(Frozen):
    """The data behind the weights."""

    dataset: str = Field(min_length=1)
    """Name of the dataset."""
    fingerprint: str = ""
    """Identity of its content."""
    split_seed: int | None = Field(None, ge=0)
    """Seed that dealt the patients."""
    slice_px: tuple[int, int] | None = None
    """Height and width of its slices."""
    patients: Patients = Patients()
    """The patients of each part."""
    inherited: Inherited = Inherited()
    """What they started from had learnt from; absent where that was random numbers or ImageNet, or says nothing."""

    later: ClassVar[tuple[str, ...]] = ("inherited",)

    @property
    def learnt_from(self) -> tuple[str, ...]:
        """Patients that training fitted the weights to, or chose them by."""
        return (*self.patients.train, *self.patients.val)


class SecondStageEntry(Frozen):
    """The classifier of what the model marks, whose arrays lie in the weights file."""

    name: str
    """Registry name of the classifier."""
    labels: tuple[str, ...] = Field(min_length=2, max_length=64)
    """Names of the classes."""
    options: dict[str, Option] = Field(default_factory=dict)
    """Its options."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """How frequent the classes are among the training lesions."""

    @model_validator(mode="after")
    def _check(self) -> SecondStageEntry:
        if len(set(self.labels)) < len(self.labels) or len(self.shares) != len(self.labels):
            raise ValueError(f"each class is named once and has a share. Received: {self.labels}, {self.shares}")
        return self


class WeightsManifest(Frozen):
    """Everything that is known of one weights file."""

    name: str = Field(pattern=NAME)
    """Names the weights; equal to the manifest's file name where they are published."""
    title: str = ""
    """A line for people."""
    model: ModelConfig
    """The model that the weights belong to."""
    file: str = Field(pattern=FILE)
    """Name of the weights file, without a folder."""
    url: Annotated[
        tuple[Annotated[str, Field(pattern=r"^https?://[^\s]+$")], ...],
        BeforeValidator(_as_tuple),
    ] = ()
    """Addresses of the file, tried in this order; none where it lies beside the manifest."""
    sha256: str = Field(pattern=HEX)
    """sha256 of the file."""
    size_bytes: int = Field(ge=1, le=MAX_BYTES)
    """Size of the file."""
    licence: str = ""
    """Licence of the weights."""
    attribution: str = ""
    """Whom to name: makers of the data and of what the training started from."""
    citation: str = ""
    """What to cite."""
    source: str = ""
    """What the training started from: "random", or pretrained weights and their origin."""
    start: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_]*$")
    """Short name under which the encoder serves as a start of other models, such as "lidc"."""
    second_stage: SecondStageEntry | None = None
    """What names the class of a marked lesion; absent where nothing does, or a label head."""
    trained_on: TrainedOn | None = None
    """The data behind them."""
    protocol: dict[str, Any] = Field(default_factory=dict)
    """How they were trained and scored."""
    metrics: dict[str, Score] = Field(default_factory=dict)
    """Scores on the test split, by metric."""
    created: Annotated[str, BeforeValidator(_as_date_text)] = Field("", pattern=r"^(\d{4}-\d{2}-\d{2}.*)?$")
    """Date, ISO 8601."""
    lungzoo_version: str = ""
    """The lungzoo that made them."""

    @model_validator(mode="after")
    def _check(self) -> WeightsManifest:
        if self.second_stage and self.model.labels:
            raise ValueError("a label head and a second stage cannot both name classes. Remove model.labels.")
        return self

    @property
    def seen(self) -> tuple[str, ...]:
        """Patients that training, or that of the weights it started from, learnt from; sorted, none where unknown."""
        about = self.trained_on
        return tuple(sorted({*about.learnt_from, *about.inherited.train, *about.inherited.val})) if about else ()

    @property
    def ancestry_known(self) -> bool:
        """Every patient behind what training started from is listed, or there is none."""
        if self.source.partition(" ")[0] in _WITHOUT_PATIENTS:
            return True
        return self.trained_on is not None and self.trained_on.inherited.complete

    def passed_on(self) -> Inherited:
        """Return what weights inherit whose training starts from these."""
        if self.trained_on is None:
            return Inherited()
        own, before = self.trained_on.patients, self.trained_on.inherited
        train = {*own.train, *before.train}
        val = {*own.val, *before.val} - train
        complete = bool(own.train) and self.ancestry_known
        return Inherited(train=tuple(sorted(train)), val=tuple(sorted(val)), complete=complete)

    def fault(self, path: Path) -> str | None:
        """Say what is wrong with a copy of the file, or return None where it is intact."""
        try:
            size = path.stat().st_size
            if size != self.size_bytes:
                return f"{size} bytes instead of {self.size_bytes}"
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"it cannot be read: {error.strerror or error}"
        return None if found == self.sha256 else f"sha256 {found[:12]}… instead of {self.sha256[:12]}…"


def read_manifest(path: Path) -> WeightsManifest:
    """Read a manifest from TOML or JSON.

    Raises:
        ConfigError: it is malformed; unknown keys are named with the nearest known one.
    """
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # what is wrong with the path is said below
    if size > MAX_MANIFEST_BYTES:
        raise ConfigError(f"{path} is no manifest: {size} bytes; at most {MAX_MANIFEST_BYTES} are read.")
    return parse(WeightsManifest, _read_json(path) if path.suffix == ".json" else read_toml(path), str(path))


def parse_manifest(content: bytes, where: str) -> WeightsManifest:
    """Return the manifest that the content of a TOML file holds; raises ConfigError, with `where` it comes from."""
    return parse(WeightsManifest, parse_toml(content, where), where)


def write_manifest(manifest: WeightsManifest, path: Path) -> None:
    """Write a manifest, as JSON to a path that ends so, else as TOML; whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    values = manifest.model_dump(mode="json", exclude_none=True)
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n" if path.suffix == ".json" else toml_text(values)
    try:
        write_atomic(path, text)
    except OSError as error:
        raise storage_error("write the manifest to", error) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from None
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a JSON object. Received: {type(values).__name__}")
    return values
