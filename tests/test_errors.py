"""Error texts, exit codes, and errors that survive a process border."""

from __future__ import annotations

import errno
import os
import pickle

import pytest

from lungzoo import errors
from lungzoo.errors import (
    BusyError,
    ConfigError,
    DatasetError,
    ImportRefused,
    LungzooError,
    StorageError,
    TrackingError,
    UnknownNameError,
    UsageError,
    WeightsUnavailable,
    did_you_mean,
    storage_error,
)


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("resnet5O", ["resnet50", "vgg16"], " Did you mean 'resnet50'?"),
        ("ResNet50", ["resnet50"], " Did you mean 'resnet50'?"),
        ("unet_mobilenetv2", ["UNet_MobileNetV2"], " Did you mean 'UNet_MobileNetV2'?"),
        ("zebra", ["resnet50"], ""),
        ("anything", [], ""),
        ("", ["resnet50"], ""),
    ],
)
def test_did_you_mean(name: str, known: list[str], answer: str) -> None:
    assert did_you_mean(name, known) == answer


def test_unknown_name_points_to_the_listing() -> None:
    error = UnknownNameError("encoder", "resnet5O", ["vgg16", "resnet50"], "lungzoo list encoders")
    assert str(error) == "Unknown encoder 'resnet5O'. Did you mean 'resnet50'? See: lungzoo list encoders"


def test_unknown_name_lists_what_is_allowed_when_there_is_no_listing() -> None:
    error = UnknownNameError("loss", "zebra", iter(["dice", "bce"]))
    assert str(error) == "Unknown loss 'zebra'. Allowed: bce, dice."


def test_unknown_name_with_nothing_known() -> None:
    assert str(UnknownNameError("loss", "zebra", [])) == "Unknown loss 'zebra'."


def test_import_refused_lists_every_fault_up_to_ten() -> None:
    error = ImportRefused("slices.zip", ["a.png: not an image", "b.png: no mask"])
    assert str(error) == (
        "slices.zip: 2 faulty file(s); nothing was imported.\n  a.png: not an image\n  b.png: no mask"
    )


def test_import_refused_counts_the_faults_it_does_not_show() -> None:
    faults = [f"{n}.png: empty" for n in range(12)]
    lines = str(ImportRefused("slices.zip", faults)).splitlines()
    assert lines[0] == "slices.zip: 12 faulty file(s); nothing was imported."
    assert lines[1:11] == [f"  {fault}" for fault in faults[:10]]
    assert lines[11:] == ["  … and 2 more; --faults FILE writes the whole list."]


@pytest.mark.parametrize("kind", [UsageError, UnknownNameError, ConfigError, DatasetError, ImportRefused])
def test_correctable_input_leaves_with_2(kind: type[LungzooError]) -> None:
    assert issubclass(kind, UsageError)
    assert kind.exit_code == 2


@pytest.mark.parametrize("kind", [LungzooError, WeightsUnavailable, StorageError, BusyError, TrackingError])
def test_a_failure_leaves_with_1(kind: type[LungzooError]) -> None:
    assert not issubclass(kind, UsageError)
    assert kind.exit_code == 1


def test_there_is_one_tree() -> None:
    raised = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(kind, LungzooError) for kind in raised)


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("encoder", "resnet5O", ["resnet50"], "lungzoo list encoders"),
        ImportRefused("slices.zip", ["a.png: empty"]),
        StorageError("Cannot write."),
    ],
)
def test_errors_survive_pickling(error: LungzooError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            errno.EACCES,
            "Cannot write the dataset /d/x: Permission denied. Choose a folder that you may write to.",
        ),
        (
            errno.ENOSPC,
            "Cannot write the dataset /d/x: No space left on device. Free some space, or choose another disk.",
        ),
        (
            errno.EROFS,
            "Cannot write the dataset /d/x: Read-only file system. Choose a folder that is not mounted read-only.",
        ),
        (
            errno.ENOTDIR,
            "Cannot write the dataset /d/x: Not a directory. Choose another folder.",
        ),
    ],
)
def test_storage_error_names_the_place_and_the_way_out(number: int, text: str) -> None:
    error = storage_error("write the dataset", OSError(number, os.strerror(number), "/d/x"))
    assert type(error) is StorageError
    assert str(error) == text


def test_storage_error_without_number_or_place() -> None:
    error = storage_error("write the dataset", OSError("the disk went away"))
    assert str(error) == "Cannot write the dataset: the disk went away. Choose another folder."
