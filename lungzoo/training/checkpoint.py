"""Checkpoints that survive a kill at any moment: written aside, synced, renamed, hashed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.atomic import write_atomic
from lungzoo.errors import storage_error

Values = list[np.ndarray]


@dataclass
class Progress:
    """How far a run is.

    Args:
        epoch: number of finished epochs.
        best_epoch: index of the epoch with the best validation Dice, -1 before the first.
        best_val_dice: that Dice.
        history: one dict of metrics per finished epoch.
        seconds: training time so far.
        stopped: why a search gave up on the run, "" where it did not.
        taken_epochs, taken_seconds: what of it the run took over from the one that it goes on from.
    """

    epoch: int = 0
    best_epoch: int = -1
    best_val_dice: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""
    taken_epochs: int = 0
    taken_seconds: float = 0.0

    @property
    def own_epochs(self) -> int:
        """Epochs that the run has trained itself."""
        return self.epoch - self.taken_epochs

    @property
    def own_seconds(self) -> float:
        """Training time that the run has taken itself."""
        return self.seconds - self.taken_seconds

    def exhausted(self, patience: int | None, stage_start: int = 0) -> bool:
        """Tell whether `patience` epochs of the stage have passed since the best one, or since the stage began."""
        if patience is None or self.epoch <= stage_start:
            return False
        return self.epoch - 1 - max(self.best_epoch, stage_start - 1) >= patience


class CheckpointFolder:
    """The newest checkpoint of one run: progress, all variables, and the best weights.

    Args:
        path: folder, made on the first save.
        origin: folder of the run that this one goes on from, as long as it has no checkpoint of its own.
    """

    def __init__(self, path: Path, origin: Path | None = None) -> None:
        self._path, self._origin = path, origin

    def save(self, progress: Progress, variables: Values, best: Values) -> None:
        """Replace the checkpoint; a reader sees the old one or the new one, never a mixture.

        Raises:
            StorageError: the folder cannot be written; the previous checkpoint is intact.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            name = f"checkpoint-{progress.epoch:05d}.npz"
            digest = _write_arrays(self._path / name, {"variables": variables, "best": best})
            pointer = {"file": name, "sha256": digest, "progress": asdict(progress)}
            write_atomic(self._path / "latest.json", json.dumps(pointer))
            for old in self._path.glob("checkpoint-*.npz"):
                if old.name != name:
                    old.unlink()
        except OSError as error:
            raise storage_error("write a checkpoint to", error) from error

    def progress(self) -> Progress | None:
        """Return how far the newest checkpoint is, None where there is none; its arrays are left unread."""
        try:
            return Progress(**json.loads((self._path / "latest.json").read_text())["progress"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def load(self) -> tuple[Progress, Values, Values] | None:
        """Return (progress, variables, best weights), or None where there is no intact checkpoint."""
        found = _load(self._path)
        if found is None and self._origin is not None:
            found = _load(self._origin)
            if found is not None:
                progress = found[0]
                progress.stopped = ""
                progress.taken_epochs, progress.taken_seconds = progress.epoch, progress.seconds
        return found


def _load(path: Path) -> tuple[Progress, Values, Values] | None:
    try:
        pointer = json.loads((path / "latest.json").read_text())
        file = path / pointer["file"]
        with file.open("rb") as stream:
            intact = hashlib.file_digest(stream, "sha256").hexdigest() == pointer["sha256"]
        if not intact:
            return None
        with np.load(file, allow_pickle=False) as arrays:
            return Progress(**pointer["progress"]), _unpack(arrays, "variables"), _unpack(arrays, "best")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_variables(variables: list[Any]) -> Values:
    """Copy Keras variables to arrays; of a mirrored variable, the value that its replicas share."""
    # A copy: on the CPU a backend may hand out its own memory, which the next step overwrites.
    return [np.array(_as_array(variable.value)) for variable in variables]


def write_variables(variables: list[Any], values: Values) -> None:
    """Set Keras variables; raises ValueError where number or shape differ."""
    if len(variables) != len(values):
        raise ValueError(f"Expected {len(variables)} values. Received: {len(values)}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _as_array(value: Any) -> np.ndarray:
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)


def _write_arrays(path: Path, groups: dict[str, Values]) -> str:
    arrays = {f"{group}/{number}": value for group, values in groups.items() for number, value in enumerate(values)}
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)  # half a checkpoint would only keep a full disk full
        raise
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    os.replace(temporary, path)
    return digest


def _unpack(arrays: Any, group: str) -> Values:
    count = sum(name.startswith(f"{group}/") for name in arrays.files)
    return [arrays[f"{group}/{number}"] for number in range(count)]
