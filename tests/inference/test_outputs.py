"""Which files are made, and that nothing is predicted in vain."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from lungzoo.errors import DatasetError, UsageError
from lungzoo.inference import outputs
from lungzoo.inference.inputs import Input
from lungzoo.inference.outputs import Plan, plan_outputs
from lungzoo.inference.result import Result


def scan(name: str, source: Path = Path("nowhere"), has_grid: bool = True) -> Input:
    return Input(name, source, has_grid, False, lambda: pytest.fail("read"))


def test_one_scan_gives_the_files_that_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / "a.nii.gz", tmp_path / "a.json"]
    (plan,) = plan_outputs([scan("x")], paths, [], False)
    assert plan.paths == tuple(paths)


def test_a_file_that_is_named_twice_is_made_once(tmp_path: Path) -> None:
    (plan,) = plan_outputs([scan("x")], [tmp_path / "a.json", tmp_path / "a.json"], [], False)
    assert plan.paths == (tmp_path / "a.json",)
    (plan,) = plan_outputs([scan("x")], [tmp_path], ["json", ".json"], False)
    assert plan.paths == (tmp_path / "x.json",)


def test_a_file_that_cannot_be_written_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(result: Any, path: Path, force: bool) -> None:
        if path.suffix == ".dcm":
            raise DatasetError("no SEG of this series")
        path.write_text(str(result))

    monkeypatch.setattr(outputs, "write_output", write)
    plan = Plan(scan("x"), (tmp_path / "a.dcm", tmp_path / "a.json"), False)
    with pytest.raises(DatasetError, match="no SEG of this series"):
        plan.write(cast(Result, "result"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_several_scans_fill_a_folder(tmp_path: Path) -> None:
    plans = plan_outputs([scan("x"), scan("y")], [tmp_path / "out"], ["json", ".nrrd"], False)
    assert [path.name for plan in plans for path in plan.paths] == ["x.json", "x.nrrd", "y.json", "y.nrrd"]
    (plan,) = plan_outputs([scan("x")], [tmp_path], [], False)
    assert plan.paths == (tmp_path / "x.nii.gz",)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("scans", "out", "formats", "text"),
    [
        ("xy", ["a.nii"], [], r"There are 2 scans, so the output must be one folder.*Received: .*a\.nii"),
        ("x", ["a.nii"], ["json"], "--format is for an output folder"),
        ("x", ["a.jpg"], [], r"Cannot write a prediction to 'a\.jpg'"),
        ("x", ["out"], ["tiff"], r"Cannot write a prediction to 'x\.tiff'"),
        ("x", ["there.json"], [], r"there\.json exists already\. Choose another name, or replace it with --force"),
        ("x", ["folder.nii"], [], r"Cannot write|x\.nii\.gz"),
        ("x", ["there.json/a.nii"], [], r"Cannot write to .*there\.json\. Choose a folder"),
    ],
)
def test_refused(tmp_path: Path, scans: str, out: list[str], formats: list[str], text: str) -> None:
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "folder.nii" / "x.nii.gz").write_text("mine")
    with pytest.raises(UsageError, match=text):
        plan_outputs([scan(name) for name in scans], [tmp_path / name for name in out], formats, False)


@pytest.mark.parametrize("force", [False, True])
def test_a_source_is_never_replaced(tmp_path: Path, force: bool) -> None:
    source = tmp_path / "scan.nii"
    source.write_text("voxels")
    for name in (source, tmp_path):
        with pytest.raises(UsageError, match=r"scan\.nii is an input or part of one, and is not replaced\. Choose"):
            plan_outputs([scan("x", name)], [source], [], force)
    (plan,) = plan_outputs([scan("x", tmp_path)], [tmp_path / "a.nii"], [], force)
    assert plan.paths == (tmp_path / "a.nii",)
    assert source.read_text() == "voxels"


def test_the_source_of_another_scan_is_never_replaced(tmp_path: Path) -> None:
    """A DICOM folder beside its NIfTI file, and files of one name in two folders."""
    (tmp_path / "case1").mkdir()
    (tmp_path / "case1.nii.gz").write_text("voxels")
    scans = [scan("case1", tmp_path / "case1"), scan("case1-2", tmp_path / "case1.nii.gz")]
    for found in (scans, scans[::-1]):
        with pytest.raises(UsageError, match=r"case1\.nii\.gz is an input or part of one"):
            plan_outputs(found, [tmp_path], [], True)
    twice = [scan("b", tmp_path / "x" / "b.json"), scan("b-2", tmp_path / "y" / "b.json")]
    for each in twice:
        each.source.parent.mkdir()
        each.source.write_text("voxels")
    with pytest.raises(UsageError, match=r"y.b\.json is an input or part of one"):
        plan_outputs(twice, [tmp_path / "y"], ["json"], True)
    assert len(plan_outputs(scans, [tmp_path / "out"], [], True)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Cannot write to"):
        plan_outputs([scan("x")], [tmp_path / "a.nii"], [], False)
    tmp_path.chmod(0o700)
