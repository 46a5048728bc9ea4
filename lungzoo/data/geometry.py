"""Where the voxels of a volume lie: DICOM's patient coordinates (LPS), in mm.

x grows to the patient's left, y to the back (posterior), z to the head (superior). Volumes are kept as (Z, Y, X) with
each index axis growing along the patient axis of its name, as nearly as the scan allows; how the source had them is
kept beside, so that a result can be given back on the source's own grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lungzoo.errors import DatasetError

_AXES = (("R", "L"), ("A", "P"), ("I", "S"))
_MAX_SHEAR = 1e-3
_MM = 1e-3

Affine = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume.

    Args:
        affine: three rows of four numbers; times (x, y, z, 1), indices from 0, they give mm in LPS.

    Raises:
        DatasetError: the numbers are not finite, an axis has no length, or the axes are not at right angles (as with a
            tilted gantry).
    """

    affine: Affine

    def __post_init__(self) -> None:
        matrix = np.array(self.affine, float)
        if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
            raise DatasetError("its geometry is not finite; expected three rows of four numbers")
        lengths = np.linalg.norm(matrix[:, :3], axis=0)
        if lengths.min() < _MM:
            raise DatasetError(f"its voxels have no size along an axis: spacing {_shown(lengths)} mm (x, y, z)")
        unit = matrix[:, :3] / lengths
        shear = np.abs(unit.T @ unit - np.eye(3)).max()
        if shear > _MAX_SHEAR:
            angle = np.degrees(np.arcsin(min(shear, 1.0)))
            raise DatasetError(
                f"its axes are not at right angles, by {angle:.1f}°: a tilted gantry, or a sheared affine. "
                "Resample it to a straight grid first"
            )

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Geometry:
        """Make one from a 3×4 or 4×4 matrix, index (x, y, z) -> mm in LPS."""
        rows = tuple(tuple(float(value) for value in row) for row in np.asarray(matrix, float)[:3, :4])
        return cls(rows)  # type: ignore[arg-type]

    @classmethod
    def from_ras(cls, matrix: np.ndarray) -> Geometry:
        """Make one from NIfTI's affine, index (i, j, k) -> mm in RAS."""
        return cls.from_matrix(np.diag([-1.0, -1.0, 1.0]) @ np.asarray(matrix, float)[:3, :4])

    @classmethod
    def from_itk(
        cls, spacing_xyz_mm: tuple[float, ...], origin_mm: tuple[float, ...], direction: tuple[float, ...]
    ) -> Geometry:
        """Make one from ITK's spacing, origin and row-major 3×3 direction."""
        axes = np.array(direction, float).reshape(3, 3) * np.array(spacing_xyz_mm, float)
        return cls.from_matrix(np.column_stack([axes, np.array(origin_mm, float)]))

    @property
    def matrix(self) -> np.ndarray:
        """4×4 float64: (x, y, z, 1) -> (mm in LPS, 1)."""
        return np.vstack([np.array(self.affine, float), [0.0, 0.0, 0.0, 1.0]])

    @property
    def ras(self) -> np.ndarray:
        """4×4 float64 as in NIfTI."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.matrix

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(z, y, x) distance between voxel centres."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """(x, y, z) in LPS of the centre of the first voxel."""
        x, y, z = self.matrix[:3, 3]
        return float(x), float(y), float(z)

    @property
    def direction(self) -> tuple[float, ...]:
        """Nine numbers, row-major, columns along x, y and z: ITK's direction."""
        axes = self.matrix[:3, :3]
        return tuple(float(value) for value in (axes / np.linalg.norm(axes, axis=0)).ravel())

    @property
    def code(self) -> str:
        """Where each index axis grows to, such as "LPS" or, for most NIfTI files, "RAS"."""
        axes = self.matrix[:3, :3] / np.linalg.norm(self.matrix[:3, :3], axis=0)
        letters = [""] * 3
        free = {0, 1, 2}
        # Clearest axis first, so that oblique volumes get three different letters.
        for column in sorted(range(3), key=lambda column: -np.abs(axes[:, column]).max()):
            row = max(free, key=lambda row: abs(axes[row, column]))
            free.discard(row)
            letters[column] = _AXES[row][int(axes[row, column] > 0)]
        return "".join(letters)

    def to_mm(self, index_zyx: np.ndarray) -> np.ndarray:
        """(…, 3) indices (z, y, x) -> (…, 3) mm (x, y, z) in LPS."""
        return np.asarray(index_zyx, float)[..., ::-1] @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """(…, 3) mm (x, y, z) in LPS -> (…, 3) fractional indices (z, y, x)."""
        centred = np.asarray(points_mm, float) - self.matrix[:3, 3]
        return (centred @ np.linalg.inv(self.matrix[:3, :3]).T)[..., ::-1]


def to_axial(array_xyz: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Geometry]:
    """Turn an array with index axes (x, y, z) of any orientation into (Z, Y, X) that grow to L, P and S; no copy.

    Returns:
        The turned view, and its geometry.
    """
    order, flipped = _plan(geometry.code)
    matrix = geometry.matrix
    turned = array_xyz
    for axis in range(3):
        if flipped[axis]:
            matrix[:3, 3] += matrix[:3, axis] * (array_xyz.shape[axis] - 1)
            matrix[:3, axis] *= -1
            turned = np.flip(turned, axis)
    matrix[:3, :3] = matrix[:3, list(order)]
    return turned.transpose(order[::-1]), Geometry.from_matrix(matrix)


def from_axial(array_zyx: np.ndarray, code: str) -> np.ndarray:
    """Undo `to_axial`: (Z, Y, X) -> index axes (x, y, z) as the source had them; no copy."""
    order, flipped = _plan(code)
    turned = array_zyx.transpose(2, 1, 0).transpose(np.argsort(order))
    return np.flip(turned, tuple(axis for axis in range(3) if flipped[axis]))


def _plan(code: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return which source axis becomes x, y and z, and which source axes grow the other way."""
    rows = [next(row for row, pair in enumerate(_AXES) if letter in pair) for letter in code]
    order = tuple(rows.index(row) for row in range(3))
    flipped = tuple(letter == _AXES[row][0] for letter, row in zip(code, rows, strict=True))
    return order, flipped


def _shown(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values)
