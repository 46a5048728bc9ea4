"""What is checked of files before anything is computed, and what is told of those that could not be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungzoo.errors import DatasetError, LungzooError, StorageError, UsageError
from lungzoo.inference.batches import MemoryRanOut
from lungzoo.inference.files import check_files, kind_of, write_each


def test_the_first_ending_that_fits_is_taken() -> None:
    kinds = {".nii.gz": 1, ".gz": 2}
    assert [kind_of(Path(name), kinds, "a map") for name in ("a.NII.GZ", "a.gz")] == [1, 2]
    with pytest.raises(UsageError, match=r"Cannot write a map to 'a\.nii'\. Allowed endings: \.nii\.gz, \.gz\."):
        kind_of(Path("in.gz/a.nii"), kinds, "a map")


def test_existing_files_are_replaced_by_force_and_folders_never(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    (tmp_path / "b.png").mkdir()
    check_files([tmp_path / "a.png", tmp_path / "c" / "d.png"], [tmp_path / "scan"], True)
    with pytest.raises(UsageError, match=r"a\.png exists already\. Choose another name, or replace it with --force\."):
        check_files([tmp_path / "c.png", tmp_path / "a.png"], [], False)
    with pytest.raises(UsageError, match=r"b\.png exists already\. Choose another name\.$"):
        check_files([tmp_path / "b.png"], [], True)
    with pytest.raises(UsageError, match=r"Cannot write to .*a\.png\. Choose a folder"):
        check_files([tmp_path / "a.png" / "b.png"], [], True)


@pytest.mark.parametrize("force", [False, True])
def test_a_link_to_an_input_is_an_input(tmp_path: Path, force: bool) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "1.png").write_text("pixels")
    (tmp_path / "link.png").symlink_to(tmp_path / "scan" / "1.png")
    for path in (tmp_path / "link.png", tmp_path / "scan" / ".." / "scan" / "1.png"):
        with pytest.raises(UsageError, match=r"1?\.png is an input or part of one, and is not replaced"):
            check_files([path], [tmp_path / "other", tmp_path / "scan"], force)
    check_files([tmp_path / "scan" / "2.png"], [tmp_path / "scan"], force)


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ([DatasetError("a")], DatasetError),
        ([UsageError("a"), DatasetError("b")], DatasetError),
        ([UsageError("a"), UsageError("b")], UsageError),
        ([DatasetError("a"), StorageError("b")], StorageError),
    ],
)
def test_all_that_could_not_be_written_is_told(faults: list[LungzooError], kind: type[LungzooError]) -> None:
    written: list[str] = []

    def write(path: Path) -> None:
        if path.name.isdigit():
            raise faults[int(path.name)]
        written.append(path.name)

    with pytest.raises(kind) as told:
        write_each([Path(name) for name in ("x", *map(str, range(len(faults))), "y")], write)
    assert type(told.value) is kind
    assert str(told.value) == "\n".join(map(str, faults))
    assert written == ["x", "y"]
    write_each([Path("z")], write)
    assert written == ["x", "y", "z"]


def test_memory_that_runs_out_for_one_file_does_not_keep_the_others_from_being_written() -> None:
    written: list[str] = []

    def write(path: Path) -> None:
        if path.name == "large":
            raise MemoryError("Unable to allocate 3 GiB")
        written.append(path.name)

    with pytest.raises(MemoryRanOut, match=r"^Memory ran out \(Unable to allocate 3 GiB\)\. Free some memory"):
        write_each([Path("large"), Path("small")], write)
    assert written == ["small"]
