"""Which files an explanation becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungzoo.errors import UsageError
from lungzoo.explain.outputs import check_outputs
from lungzoo.inference.inputs import Input


@pytest.mark.parametrize(
    ("name", "force", "text"),
    [
        ("scan.npy", True, r"scan\.npy is an input or part of one, and is not replaced"),
        ("kept.png", False, r"kept\.png exists already\. Choose another name, or replace it with --force"),
        ("a.json", False, r"Cannot write an explanation to 'a\.json'\. Allowed endings: \.png, \.npy, \.nii\.gz"),
        ("a.nrrd", False, r"has no grid in a patient, so its map cannot be written to 'a\.nrrd'\. Allowed: \.png, "),
    ],
)
def test_refused(tmp_path: Path, name: str, force: bool, text: str) -> None:
    for each in ("scan.npy", "kept.png"):
        (tmp_path / each).write_text("mine")
    found = Input("scan", tmp_path / "scan.npy", False, False, lambda: pytest.fail("read"))
    check_outputs(found, [tmp_path / "kept.png", tmp_path / "a.npy"], True)
    with pytest.raises(UsageError, match=text):
        check_outputs(found, [tmp_path / "a.png", tmp_path / name], force)
