"""The mask as a volume on its source's grid: NIfTI, NRRD, MetaImage."""

from __future__ import annotations

from pathlib import Path

from lungzoo.data.files.write import check_package, writer_of
from lungzoo.errors import UsageError
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result


def check(found: Input, path: Path) -> None:
    """Raise UsageError for a scan without a grid, or where a package is missing."""
    if not found.has_grid:
        raise UsageError(
            f"{found.source} has no grid in a patient, so its mask cannot be written to '{path.name}'. Allowed: .png, "
            ".json."
        )
    check_package(path)


def write(path: Path, result: Result) -> None:
    """Write uint8 {0, 1}: same size, same affine and same order of voxels as the source."""
    voxels = result.source_mask()
    assert result.volume.info is not None
    writer_of(path)(path, voxels, result.volume.info.source_geometry)
