"""What `lungzoo predict` takes: one file for each kind of source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from lungzoo.errors import DatasetError, UsageError
from lungzoo.inference.volume import Volume

ALLOWED = (
    "a folder or zip of DICOM files, a DICOM file, .nii, .nii.gz, .mhd, .mha, .nrrd, .png, .tif, .npy, or a prepared "
    "dataset"
)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Input:
    """A scan that was found, but not read yet.

    Args:
        name: what files made from it are called; no folders in it.
        source: the path it came from.
        has_grid: it lies in a patient, so that a mask can be given back on its grid.
        is_dicom: it is a DICOM series.
        load: reads it; raises DatasetError, which need not name the source.
    """

    name: str
    source: Path
    has_grid: bool
    is_dicom: bool
    load: Callable[[], Volume]

    def read(self) -> Volume:
        """Read the scan.

        Raises:
            DatasetError: it cannot be used; the message names the source.
        """
        try:
            return self.load()
        except DatasetError as error:
            raise DatasetError(f"{self.source}: {_sentence(str(error))}") from None
        except OSError as error:
            raise DatasetError(f"{self.source}: {error.strerror or error}. Check the path.") from None


@dataclass(frozen=True)
class Reading:
    """How sources are read.

    Args:
        series: of a DICOM source, the number in the list of its series or its SeriesInstanceUID; "" for the only one.
        hu_offset: added to the pixels of PNG, TIFF and NPY to get HU.
    """

    series: str = ""
    hu_offset: int = 0


def find_inputs(paths: list[Path], reading: Reading) -> list[Input]:
    """List the scans of sources, from headers alone.

    Raises:
        UsageError: no such file, or of a kind that is not read; a way of reading that goes with none of the sources.
        DatasetError: a source holds no scan, or several series and none was chosen.
    """
    from lungzoo.inference.inputs import dicom, pictures

    kinds = [_asked(path, _kind_of) for path in paths]
    if reading.series and dicom not in kinds:
        raise UsageError(f"--series {reading.series} chooses among DICOM series, and no input is DICOM. Leave it out.")
    if reading.hu_offset and pictures not in kinds:
        raise UsageError(
            f"--hu-offset {reading.hu_offset} is for PNG, TIFF and NPY, and no input is one; other files say "
            "themselves what is HU. Leave it out."
        )
    found: list[Input] = []
    for path, kind in zip(paths, kinds, strict=True):
        found += _asked(path, partial(kind.find, reading=reading))
    return _of_one_name(found)


def _asked(path: Path, question: Callable[[Path], Answer]) -> Answer:
    try:
        return question(path)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}. Check the path.") from None


def _kind_of(path: Path) -> ModuleType:
    """Return the module that reads a source."""
    from lungzoo.inference.inputs import dataset, dicom, pictures, volumes

    if not path.exists():
        raise UsageError(f"No file or folder at '{path}'. Give {ALLOWED}.")
    for kind in (dataset, volumes, pictures, dicom):
        if kind.is_mine(path):
            return kind
    raise UsageError(f"lungzoo predict does not read '{path.name}'. Allowed: {ALLOWED}.")


def _of_one_name(found: list[Input]) -> list[Input]:
    """Number those that would be called the same, also by a file system that does not tell capitals apart."""
    taken: set[str] = set()
    names = {each.name.casefold() for each in found}
    numbered = []
    for each in found:
        name = each.name
        if name.casefold() in taken:
            ways = (f"{each.name}-{number}" for number in count(2))
            name = next(way for way in ways if way.casefold() not in taken | names)
        taken.add(name.casefold())
        numbered.append(replace(each, name=name))
    return numbered


def _sentence(text: str) -> str:
    return text if text.endswith((".", "…")) else f"{text}."
