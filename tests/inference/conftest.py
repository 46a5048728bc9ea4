"""Models made by hand, whose answer for a voxel can be told from its HU, and scans with nodules of known size."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pytest

from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.data.case import VolumeInfo
from lungzoo.data.geometry import Geometry, from_axial, to_axial
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.protocol import protocol_of
from lungzoo.inference.volume import Volume, whole
from lungzoo.weights.manifest import WeightsManifest

STEEP = 60.0


@pytest.fixture(scope="session")
def dicom_writer() -> ModuleType:
    """The writer of small DICOM files."""
    path = Path(__file__).parents[1] / "data" / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_manifest() -> Callable[..., WeightsManifest]:
    def make(name: str = "hand-made", protocol: dict[str, Any] | None = None, **model: Any) -> WeightsManifest:
        values = {"name": "cnn_scratch", **model}
        return WeightsManifest.model_validate(
            {
                "name": name, "model": values, "file": "a.npz", "sha256": "0" * 64, "size_bytes": 1,
                "protocol": protocol or {},
            }
        )  # fmt: skip

    return make


@pytest.fixture
def make_predictor(make_manifest: Callable[..., WeightsManifest]) -> Callable[..., Predictor]:
    """A predictor that finds lesion where the input is brighter than a level, by the middle slice of what it sees."""

    def make(
        level: float = 0.9, is_3d: bool = False, in_slices: int = 1, made: SecondStage | None = None, **more: Any
    ) -> Predictor:
        import keras

        manifest = make_manifest(in_slices=in_slices, **more)
        channels = manifest.model.in_channels * (1 if is_3d else in_slices)
        convolution = keras.layers.Conv3D if is_3d else keras.layers.Conv2D
        image = keras.Input(((None,) * (3 if is_3d else 2)) + (channels,))
        head = convolution(1, 1)
        logits = head(image)
        kernel = np.zeros(head.kernel.shape, np.float32)
        kernel[..., channels // 2, 0] = STEEP
        head.set_weights([kernel, np.array([-STEEP * level], np.float32)])
        outputs: Any = logits
        if labels := manifest.model.labels:
            pooled = keras.layers.GlobalMaxPooling2D()(image)
            last = keras.layers.Dense(len(labels))
            outputs = {"mask": logits, "label": last(pooled)}
            weights = np.zeros((channels, len(labels)), np.float32)
            weights[:, 1] = 8.0
            last.set_weights([weights, np.zeros(len(labels), np.float32)])
        return Predictor(keras.Model(image, outputs), manifest, protocol_of(manifest), is_3d, None, made)

    return make


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """A volume in HU on a plain grid, 0.75 × 0.75 × 2 mm, the first voxel at (-100, -80, -300) mm."""

    def make(image: np.ndarray, units: Any = "hu", source_code: str = "LPS") -> Volume:
        matrix = np.column_stack([np.diag([0.75, 0.75, 2.0]), [-100.0, -80.0, -300.0]])
        geometry = Geometry.from_matrix(matrix)
        source = geometry if source_code == "LPS" else _turned_away(image, geometry, source_code)
        return whole(image, units, VolumeInfo("scan", image.shape, geometry, source))

    return make


def _turned_away(image: np.ndarray, geometry: Geometry, code: str) -> Geometry:
    """Return the grid of the same voxels in another orientation."""
    array = from_axial(np.arange(image.size).reshape(image.shape), code)
    corners = [np.zeros(3, int), *np.eye(3, dtype=int)]
    places = [geometry.to_mm(np.array(np.unravel_index(array[tuple(c)], image.shape))) for c in corners]
    columns = [place - places[0] for place in places[1:]]
    turned = Geometry.from_matrix(np.column_stack([*columns, places[0]]))
    assert turned.code == code
    assert np.allclose(to_axial(array, turned)[1].matrix, geometry.matrix)
    return turned


def balls(shape_zyx: tuple[int, int, int], spacing_mm: tuple[float, ...], nodules: list[Any]) -> np.ndarray:
    """Return bool: voxels whose centres lie in a ball; each nodule is (centre z, y, x in mm of the grid, diameter)."""
    axes = (np.arange(count) * step for count, step in zip(shape_zyx, spacing_mm, strict=True))
    places = np.stack(np.meshgrid(*axes, indexing="ij"))
    inside = np.zeros(shape_zyx, bool)
    for centre, diameter_mm in nodules:
        away = np.linalg.norm(np.moveaxis(places, 0, -1) - np.array(centre), axis=-1)
        inside |= away <= diameter_mm / 2
    return inside


@pytest.fixture
def draw_balls() -> Callable[..., np.ndarray]:
    return balls


@pytest.fixture
def save_nifti() -> Callable[..., Path]:
    """Write HU (Z, Y, X), axes as in `Geometry`, as a NIfTI file whose index axes grow as the code says."""

    def save(path: Path, volume: Volume) -> Path:
        assert volume.info is not None
        source = volume.info.source_geometry
        nibabel.save(nibabel.Nifti1Image(from_axial(volume.image, source.code).copy(), source.ras), path)
        return path

    return save
