"""Writing a volume to a file of a viewer's kind, whole or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lungzoo.data.geometry import Geometry
from lungzoo.errors import UsageError, missing_extra, storage_error

_SCANNER = 1  # NIfTI's code for "in the scanner's coordinates"
VolumeWriter = Callable[[Path, np.ndarray, Geometry], None]


def writer_of(path: Path) -> VolumeWriter:
    """Return what writes a file of this name: (path, voxels with index axes as in the grid, grid).

    Raises:
        UsageError: no kind of volume has this ending.
    """
    for suffix, write in WRITERS.items():
        if path.name.lower().endswith(suffix):
            return write
    raise UsageError(f"Cannot export to '{path.name}'. Allowed endings: {', '.join(WRITERS)}.")


def write_whole(path: Path, force: bool, write: Callable[[Path], None], what: str = "the volume") -> None:
    """Let `write` make a file beside `path`, and give it its name once it is complete.

    Raises:
        UsageError: the file exists and `force` is False.
        StorageError: it cannot be written.
    """
    check_free(path, force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
        try:
            partial = folder / path.name
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise storage_error(f"write {what}", error) from error


def check_free(path: Path, force: bool) -> None:
    """Raise UsageError where a folder has this name, or a file has it and `force` is False."""
    if path.is_dir() or (path.exists() and not force):
        raise UsageError(f"{path} exists already. Choose another name{'' if path.is_dir() else ', or force it'}.")


def check_writable(path: Path) -> None:
    """Raise UsageError where a path cannot be made for want of permission, before hours of work."""
    folder = next(parent for parent in path.resolve().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"Cannot write to {folder}. Choose a folder that you may write to.")


def check_package(path: Path) -> None:
    """Raise UsageError where the package is missing that writes a volume of this name."""
    package, what = ("nibabel", "NIfTI files") if ".nii" in path.name.lower() else ("SimpleITK", "NRRD and MetaImage")
    if find_spec(package) is None:
        raise missing_extra(package, "medical", what)


def write_nifti(path: Path, voxels_xyz: np.ndarray, grid: Geometry) -> None:
    """Write .nii or .nii.gz."""
    try:
        import nibabel
    except ImportError:
        raise missing_extra("nibabel", "medical", "NIfTI files") from None
    picture = nibabel.Nifti1Image(voxels_xyz, grid.ras)
    picture.header.set_xyzt_units("mm")
    picture.set_sform(grid.ras, _SCANNER)
    picture.set_qform(grid.ras, _SCANNER)
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            # No time and no name inside, so that the same volume gives the same bytes.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                picture.to_stream(packed)
        else:
            picture.to_stream(file)


def write_itk(path: Path, voxels_xyz: np.ndarray, grid: Geometry) -> None:
    """Write .mha or .nrrd."""
    try:
        import SimpleITK
    except ImportError:
        raise missing_extra("SimpleITK", "medical", "MetaImage and NRRD files") from None
    picture = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels_xyz.transpose(2, 1, 0)))
    picture.SetSpacing(grid.spacing_mm[::-1])
    picture.SetOrigin(grid.origin_mm)
    picture.SetDirection(grid.direction)
    try:
        SimpleITK.WriteImage(picture, str(path), useCompression=True)
    except RuntimeError as error:
        raise OSError(f"SimpleITK could not write it: {str(error).splitlines()[-1]}") from None


WRITERS: dict[str, VolumeWriter] = {".nii.gz": write_nifti, ".nii": write_nifti, ".mha": write_itk, ".nrrd": write_itk}
