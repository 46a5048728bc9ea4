"""The folder of a run in progress: checkpoints, its tracking id, and results that are not delivered yet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungzoo import locks
from lungzoo.errors import TrackingError, storage_error
from lungzoo.tracking.record import RunRecord


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder for this process.

    Raises:
        BusyError: another process holds it.
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("write to", error) from error
    busy = f"Another lungzoo run is using {folder}. Wait until it ends, or work in another folder with --runs."
    lock = locks.acquire(folder / ".lock", busy)
    try:
        yield
    finally:
        locks.release(lock, remove=False)


class Workspace:
    """`runs/<fingerprint>/` of one run.

    Args:
        runs: folder of all workspaces.
        fingerprint: of the run.
    """

    def __init__(self, runs: Path, fingerprint: str) -> None:
        self.path = runs / fingerprint[:16]
        self.checkpoints = self.path / "checkpoints"
        self.outbox = self.path / "outbox"
        """What became of a run that is over, complete, waiting for the tracker."""
        self._run_id_file = self.path / "run_id.json"

    def run_id(self) -> str | None:
        """Return the tracking id that an earlier attempt was given, if any."""
        try:
            return str(json.loads(self._run_id_file.read_text())["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, run_id: str) -> None:
        """Keep the tracking id for the next attempt."""
        try:
            self._run_id_file.write_text(json.dumps({"run_id": run_id}))
        except OSError as error:
            raise storage_error("write to", error) from error

    def results(self) -> RunRecord | None:
        """Return the record of an attempt that finished and was not delivered; after any other it is tried again."""
        try:
            record = RunRecord.load(self.outbox / "record.json")
        except TrackingError:
            return None
        return record if record.status == "finished" else None

    def start_over(self) -> None:
        """Remove the checkpoints, and an outcome that was not delivered."""
        for folder in (self.checkpoints, self.outbox):
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def packing(self) -> Iterator[Path]:
        """Yield a folder for results that becomes the outbox when the block ends well."""
        draft = self.path / "outbox.partial"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            yield draft
            shutil.rmtree(self.outbox, ignore_errors=True)
            os.rename(draft, self.outbox)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise storage_error("save the results in", error) from error

    def delivered(self, keep_progress: bool, keep_id: bool = False) -> None:
        """Remove what the tracker has now.

        Args:
            keep_progress: the checkpoints stay, for another attempt or for a run that goes on from them.
            keep_id: the tracking id stays too: whoever delivers again means the same run.
        """
        shutil.rmtree(self.outbox if keep_progress else self.path, ignore_errors=True)
        if keep_progress and not keep_id:
            self._run_id_file.unlink(missing_ok=True)
