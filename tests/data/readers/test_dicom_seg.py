"""CT with segmentations, several of them for one series."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data.readers.dicom_seg import DicomSegReader
from lungzoo.errors import DatasetError, ImportRefused

HEIGHTS = (100.0, 102.0, 104.0)


@pytest.fixture(scope="module")
def writer():
    path = Path(__file__).parents[1] / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(writer, tmp_path):
    writer.save_series(writer.ct_series(np.full((3, 6, 6), 40), HEIGHTS), tmp_path / "ct")
    for n in range(2):
        mask = np.zeros((3, 6, 6))
        mask[n, 2, 1 : 3 + n] = 1
        writer.save(writer.segmentation({"Nodule": mask}, HEIGHTS), tmp_path / f"seg-{n}.dcm")
    return tmp_path


def test_segmentations_of_one_series_are_united(source):
    reader = DicomSegReader(source)
    slices = list(reader)
    assert [int(item.mask.sum()) for item in slices] == [2, 3, 0]
    assert slices[0].case.extra == {"volume_cm3": pytest.approx(5 * 0.5 * 0.5 * 2 / 1000)}
    assert (slices[2].image == 40).all()


def test_a_segment_by_its_label(source):
    reader = DicomSegReader(source, {"segment": "Heart"})
    with pytest.raises(ImportRefused, match=r"P1/ct: seg-0\.dcm: has no segment 'Heart'\. It has: Nodule"):
        list(reader)


def test_a_series_that_was_turned(writer, tmp_path):
    """Rows run to the right and columns to the front; image and mask are turned together."""
    images = [writer.ct_slice(np.arange(36).reshape(6, 6), z, orientation=(-1, 0, 0, 0, -1, 0)) for z in HEIGHTS]
    writer.save_series(images, tmp_path)
    mask = np.zeros((3, 6, 6))
    mask[1, 0, 2] = 1
    dataset = writer.segmentation({"Nodule": mask}, HEIGHTS, with_positions=False)
    writer.save(dataset, tmp_path / "seg.dcm")
    (item,) = DicomSegReader(tmp_path, {"slices": "lesion"})
    assert np.argwhere(item.mask).tolist() == [[5, 3]]
    assert item.image[5, 3] == 2


def test_a_structure_set_needs_another_reader(source, writer):
    for n in range(2):
        (source / f"seg-{n}.dcm").unlink()
    writer.save(writer.structure_set({"GTV-1": []}), source / "plan.dcm")
    words = r"its patient has an RTSTRUCT, plan\.dcm, which this reader does not read; use nsclc-radiomics"
    with pytest.raises(DatasetError, match=words):
        DicomSegReader(source)


def test_a_label_that_is_not_there_is_foreseen(source):
    assert DicomSegReader(source).foreseen == []
    first, *_ = DicomSegReader(source, {"segment": "Heart"}).foreseen
    assert first.startswith("P1/ct: seg-0.dcm: has no segment 'Heart'")


def test_ct_alone(source):
    for n in range(2):
        (source / f"seg-{n}.dcm").unlink()
    with pytest.raises(DatasetError, match=r"holds no CT with masks: P1/ct: left out, nothing was drawn on it"):
        DicomSegReader(source)
