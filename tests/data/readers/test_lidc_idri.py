"""LIDC-IDRI as published: one mask bit per reader, labels from their median."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data.readers.lidc_idri import LidcIdriReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, ImportRefused

HEIGHTS = (100.0, 102.0, 104.0, 106.0)


@pytest.fixture(scope="module")
def writer():
    path = Path(__file__).parents[1] / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ring(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    """Pixels around a box, in turn."""
    return [
        *((x, y0) for x in range(x0, x1)),
        *((x1, y) for y in range(y0, y1)),
        *((x, y1) for x in range(x1, x0, -1)),
        *((x0, y) for y in range(y1, y0, -1)),
    ]


def nodule(malignancy: int, *outlines) -> dict:
    return {"malignancy": malignancy, "outlines": list(outlines)}


@pytest.fixture
def source(writer, tmp_path):
    """Two readers agree on a nodule of two slices, one of them alone sees a second; a third draws nothing."""
    folder = tmp_path / "LIDC-IDRI-0001" / "1.3.6" / "1.3.6.1"
    writer.save_series(writer.ct_series(np.full((4, 16, 16), -700), HEIGHTS, "LIDC-IDRI-0001"), folder)
    sessions = [
        [nodule(5, (102.0, ring(2, 2, 6, 6)), (104.0, ring(2, 2, 5, 5)))],
        [nodule(4, (102.0, ring(3, 3, 7, 7))), nodule(1, (102.0, ring(9, 9, 13, 13)), (106.0, ring(9, 9, 11, 11)))],
        [{"outlines": [(100.0, [(5, 5)])]}],
    ]
    (folder / "069.xml").write_text(writer.lidc_xml(sessions, "LIDC-IDRI-0001"))
    return tmp_path


def test_a_segmentation_needs_another_reader(source, writer):
    next(source.rglob("069.xml")).unlink()
    mask = np.zeros((4, 16, 16))
    mask[1, 3, 3] = 1
    writer.save(writer.segmentation({"Nodule": mask}, HEIGHTS, "LIDC-IDRI-0001"), source / "seg.dcm")
    words = r"its patient has an SEG, seg\.dcm, which this reader does not read; use dicom-seg"
    with pytest.raises(DatasetError, match=words):
        LidcIdriReader(source)


def test_two_readings_are_foreseen(source, writer):
    (source / "second.xml").write_text(writer.lidc_xml([[], []], "LIDC-IDRI-0001"))
    assert [fault.split(":")[0] for fault in LidcIdriReader(source).foreseen] == ["LIDC-IDRI-0001/ct"]


def test_masks_labels_and_columns(source, tmp_path):
    reader = LidcIdriReader(source)
    assert reader.preview()["slices"] == 4
    import_dataset(reader, "lidc-idri", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    masks = dataset.masks[:]
    assert dataset.mask_bits == ("reader-0", "reader-1", "reader-2", "reader-3")
    assert dataset.cases["readers"].tolist() == [0b111] * 4
    assert [int((masks[z] & 1).sum()) for z in range(4)] == [0, 9, 4, 0]
    assert [int((masks[z] >> 1 & 1).sum()) for z in range(4)] == [0, 9 + 9, 0, 1]
    assert dataset.consensus(np.arange(4), 2).sum(axis=(1, 2)).tolist() == [0, 4, 0, 0]
    assert dataset.cases["label"].tolist() == ["", "malignant", "malignant", "benign"]
    np.testing.assert_array_equal(dataset.cases["malignancy"], [np.nan, 4.5, 4.5, 1])
    assert dataset.cases["malignancy_readers"].tolist() == ["", "5|4", "5|4", "1"]
    assert dataset.cases["nodules"].tolist() == [0, 2, 1, 1]
    # 13 and 9 voxels of 0.5 mm³; 10 voxels.
    np.testing.assert_allclose(dataset.cases["volume_cm3"], [np.nan, 0.0055, 0.0055, 0.005])


def test_chest_x_rays_and_other_series_are_left_out(source, writer):
    (source / "x-ray.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov"/>')
    (source / "other.xml").write_text(writer.lidc_xml([[]], "LIDC-IDRI-0002"))
    copy = next(source.rglob("069.xml"))
    (source / "copy.xml").write_bytes(copy.read_bytes())
    image = writer.ct_slice(np.zeros((9, 9)), 0.0, "LIDC-IDRI-0001", "cxr")
    image.Modality = "DX"
    writer.save(image, source / "cxr.dcm")
    reader = LidcIdriReader(source)
    assert len(reader) == 1
    assert reader.faults == []
    assert reader.notes[0].endswith("its modality is 'DX', expected CT")
    assert reader.notes[1] == "2 XML file(s) left out: of chest X-rays, or of series that are not here"
    assert len(list(reader)) == 4


def test_a_scan_on_which_nobody_drew(source, writer):
    next(source.rglob("069.xml")).write_text(writer.lidc_xml([[], [], [], []], "LIDC-IDRI-0001"))
    slices = list(LidcIdriReader(source))
    assert not any(item.mask.any() for item in slices)
    assert slices[0].case.readers == 0b1111
    assert {item.case.label for item in slices} == {""}


def test_faults_are_named(source, writer):
    second = nodule(3, (102.0, ring(2, 2, 5, 5)))
    (source / "second.xml").write_text(writer.lidc_xml([[second]], "LIDC-IDRI-0001"))
    (source / "broken.xml").write_text("<LidcReadMessage>")
    reader = LidcIdriReader(source)
    assert reader.faults[0].startswith("broken.xml: is not sound XML")
    with pytest.raises(ImportRefused, match=r"has 2 different XML files: LIDC-IDRI-0001/.*/069.xml, second.xml"):
        list(reader)


def test_five_sessions(source, writer):
    next(source.rglob("069.xml")).write_text(writer.lidc_xml([[]] * 5, "LIDC-IDRI-0001"))
    with pytest.raises(ImportRefused, match=r"069\.xml: has 5 reading sessions, expected up to 4"):
        list(LidcIdriReader(source))


def test_an_outline_without_inside_is_noted(source, writer):
    hollow = nodule(3, (102.0, [(2, 2), (3, 2), (3, 3)]))
    next(source.rglob("069.xml")).write_text(writer.lidc_xml([[hollow]], "LIDC-IDRI-0001"))
    reader = LidcIdriReader(source)
    assert not any(item.mask.any() for item in reader)
    assert reader.notes == ["LIDC-IDRI-0001/ct: 1 outline(s) enclose no pixel and leave no mask"]


def test_scans_without_xml(source):
    next(source.rglob("069.xml")).unlink()
    with pytest.raises(DatasetError, match="holds no CT with masks: LIDC-IDRI-0001/ct: left out, nothing was drawn"):
        LidcIdriReader(source)


def test_labels_follow_a_series_that_was_turned(writer, tmp_path):
    """A coronal series: its slices stack from back to front, and the volume is turned to lie axially."""
    images = []
    for n in range(4):
        image = writer.ct_slice(np.zeros((6, 8)), 200.0, "P1", name=str(n), orientation=(1, 0, 0, 0, 0, -1))
        image.ImagePositionPatient = [-10, 50 + 2 * n, 200]
        images.append(image)
    writer.save_series(images, tmp_path)
    xml = writer.lidc_xml([[nodule(5, (200.0, ring(2, 1, 5, 4)))]])
    (tmp_path / "1.xml").write_text(xml.replace(writer.uid("P1/ct/200"), writer.uid("P1/ct/2")))
    slices = list(LidcIdriReader(tmp_path))
    assert [item.case.label for item in slices] == ["", "", "malignant", "malignant", "", ""]
    assert np.argwhere(slices[2].mask).tolist() == [[2, 3], [2, 4]]
