import json

import numpy as np
import pytest

from lungzoo.errors import StorageError
from lungzoo.training import checkpoint
from lungzoo.training.checkpoint import CheckpointFolder, Progress

VALUES = [np.arange(6, dtype="float32").reshape(2, 3), np.array(7)]
BEST = [np.ones(4, "float32")]


@pytest.fixture
def folder(tmp_path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def test_round_trip(folder):
    folder.save(Progress(3, 1, 0.7, [{"loss": 1.0}], 12.5), VALUES, BEST)
    progress, values, best = folder.load()
    assert progress == Progress(3, 1, 0.7, [{"loss": 1.0}], 12.5)
    for one, other in zip([*VALUES, *BEST], [*values, *best], strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_there(folder):
    assert folder.load() is None


def test_the_newest_replaces_the_older(folder, tmp_path):
    for epoch in (1, 2):
        folder.save(Progress(epoch), VALUES, BEST)
    assert folder.load()[0].epoch == 2
    assert len(list((tmp_path / "checkpoints").glob("*.npz"))) == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "pointer"])
def test_a_damaged_checkpoint_is_not_used(folder, tmp_path, damage):
    folder.save(Progress(2), VALUES, BEST)
    file = next((tmp_path / "checkpoints").glob("*.npz"))
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[:-20])
    elif damage == "flip":
        file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif damage == "delete":
        file.unlink()
    else:
        (tmp_path / "checkpoints" / "latest.json").write_text('{"file": ')
    assert folder.load() is None


def test_what_was_taken_over_from_another_run_is_not_its_own(folder, tmp_path):
    folder.save(Progress(3, seconds=12.5, stopped="behind."), VALUES, BEST)
    later = CheckpointFolder(tmp_path / "later", tmp_path / "checkpoints")
    progress = later.load()[0]
    assert (progress.epoch, progress.own_epochs, progress.own_seconds, progress.stopped) == (3, 0, 0.0, "")
    progress.epoch, progress.seconds = 4, 14.5
    later.save(progress, VALUES, BEST)
    again = later.load()[0]
    assert (again.own_epochs, again.own_seconds) == (1, 2.0)


def test_a_kill_while_writing_leaves_the_previous_one(folder, tmp_path, monkeypatch):
    folder.save(Progress(1), VALUES, BEST)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.save(Progress(2), VALUES, BEST)
    assert folder.load()[0].epoch == 1


def test_a_full_disk_is_told_and_the_previous_one_stays(folder, monkeypatch):
    folder.save(Progress(1), VALUES, BEST)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageError, match=r"No space left on device. Free some space"):
        folder.save(Progress(2), VALUES, BEST)
    assert folder.load()[0].epoch == 1


def test_progress_survives_json():
    progress = Progress(2, 0, 0.5, [{"loss": 0.1}, {"loss": 0.2}], 3.0)
    assert Progress(**json.loads(json.dumps(progress.__dict__))) == progress


@pytest.mark.parametrize(("epoch", "best", "expected"), [(0, -1, False), (3, 2, False), (4, 1, True), (5, 1, True)])
def test_patience_of_two(epoch, best, expected):
    assert Progress(epoch, best).exhausted(2) is expected
    assert Progress(epoch, best).exhausted(None) is False
