"""The writer of DICOM files, and a source that lies in memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from pydicom import Dataset


def load_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dicom_writer", Path(__file__).with_name("writer.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MemoryTree:
    """Files by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def names(self) -> Iterable[str]:
        return list(self.files)

    def head(self, name: str, count: int) -> bytes:
        return self.files[name][:count]

    def read(self, name: str, limit: int | None = None) -> bytes:
        return self.files[name]


@pytest.fixture(scope="session")
def writer() -> ModuleType:
    return load_writer()


@pytest.fixture
def tree_of(writer, tmp_path):
    """Make a source of data sets: 1.dcm, 2.dcm, … in the order given."""

    def make(datasets: Iterable[Dataset]) -> MemoryTree:
        files = {}
        for number, dataset in enumerate(datasets, 1):
            name = f"{number}.dcm"
            files[name] = writer.save(dataset, tmp_path / "one" / name).read_bytes()
        return MemoryTree(files)

    return make
