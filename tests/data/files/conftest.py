"""Small volumes as bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import nibabel
import numpy as np
import pytest

AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, -300], [0, 0, 0, 1.0]])


@pytest.fixture
def hu() -> np.ndarray:
    """(x, y, z) int16 of 6×5×4, -1000 and up."""
    return (np.arange(120).reshape(6, 5, 4) * 10 - 1000).astype(np.int16)


@pytest.fixture
def nifti() -> Callable[..., BinaryIO]:
    """Make a NIfTI-1 file; header fields by name."""

    def make(voxels: np.ndarray, affine: np.ndarray = AFFINE, **fields: object) -> BinaryIO:
        picture = nibabel.Nifti1Image(voxels, affine)
        picture.set_qform(affine, 1)
        data = bytearray(picture.to_bytes())
        header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
        header["vox_offset"] = 352
        for name, value in fields.items():
            header[name] = value
        data[:348] = header.binaryblock
        return io.BytesIO(bytes(data))

    return make
