"""CT with structure sets: which belongs to which, and the published case from end to end."""

import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data.readers.nsclc_radiomics import NsclcRadiomicsReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, ImportRefused

HEIGHTS = (100.0, 102.0, 104.0)


@pytest.fixture(scope="module")
def writer():
    path = Path(__file__).parents[1] / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def box(z_mm: float) -> np.ndarray:
    """A square around four by four pixels."""
    return np.array([(x, y, z_mm) for x, y in ((-9.75, -19.75), (-7.75, -19.75), (-7.75, -17.75), (-9.75, -17.75))])


@pytest.fixture
def source(writer, tmp_path):
    """Two patients, each with CT and structure set in folders that mean nothing."""
    for patient in ("P10", "P9"):
        hu = np.full((3, 12, 12), int(patient[1:]))
        writer.save_series(writer.ct_series(hu, HEIGHTS, patient), tmp_path / "source" / patient)
        regions = {"Lung-Left": [box(100)], "GTV-1": [box(102), box(104)]}
        writer.save(writer.structure_set(regions, patient), tmp_path / "source" / "plans" / f"{patient}.dcm")
    (tmp_path / "source" / "LICENSE").write_text("free")
    return tmp_path / "source"


def test_from_end_to_end(source, tmp_path):
    reader = NsclcRadiomicsReader(source)
    assert reader.preview() == {"patients": 2, "volumes": 2, "slices": 6, "slices taken": "all", "faulty": 0}
    assert import_dataset(reader, "nsclc-radiomics", tmp_path / "d") == []
    dataset = PreparedDataset(tmp_path / "d")
    assert dataset.cases["case"].tolist() == [f"P{n}/ct/{z:04d}" for n in (9, 10) for z in range(3)]
    assert dataset.cases["source"].tolist() == [f"plans/P{n}.dcm" for n in (9, 10) for _ in range(3)]
    assert dataset.lesion_px(1).tolist() == [0, 16, 16] * 2
    assert dataset.cases["volume_cm3"].tolist() == pytest.approx([32 * 0.5 * 0.5 * 2 / 1000] * 6)
    assert dataset.images[4, 0, 0] == 10
    assert dataset.volumes["P9/ct"].geometry.origin_mm == (-10, -20, 100)
    assert dataset.volumes["P9/ct"].shape_zyx == (3, 12, 12)


def test_zip_and_slices_and_another_region(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in sorted(source.rglob("*")):
            archive.write(path, path.relative_to(source))
    reader = NsclcRadiomicsReader(tmp_path / "s.zip", {"slices": "lesion", "roi": "lung*"})
    assert [item.case.case for item in reader] == ["P9/ct/0000", "P10/ct/0000"]


def test_a_series_of_another_kind_beside(source, writer):
    pet = writer.ct_series(np.zeros((2, 4, 4)), (0.0, 1.0), "P9", "pet")
    for image in pet:
        image.Modality = "PT"
    writer.save_series(pet, source / "pet")
    writer.save_series(writer.ct_series(np.zeros((2, 4, 4)), (0.0, 1.0), "P9", "zzz"), source / "more")
    reader = NsclcRadiomicsReader(source)
    assert len(reader) == 2
    uids = writer.uid("P9/pet"), writer.uid("P9/zzz")
    assert reader.notes[0] == (f"P9: left out series {uids[0]} (pet/1-001.dcm): its modality is 'PT', expected CT")
    assert reader.notes[1].endswith(f"left out, nothing was drawn on it (series {uids[1]}, more/1-001.dcm)")


def test_what_does_not_fit_is_named(source, writer, tmp_path):
    writer.save(writer.structure_set({"GTV-1": [box(100)]}, "P9", name="second"), source / "plans" / "P9b.dcm")
    writer.save(writer.structure_set({"GTV-1": [box(100)]}, "P9", "gone"), source / "plans" / "lost.dcm")
    writer.save(writer.structure_set({"GTV-2": [box(100)]}, "P10"), source / "plans" / "P10.dcm")
    (source / "plans" / "empty.dcm").write_bytes(b"")
    with pytest.raises(ImportRefused) as refused:
        import_dataset(NsclcRadiomicsReader(source), "nsclc-radiomics", tmp_path / "d")
    assert sorted(fault.split(". ")[0] for fault in refused.value.faults) == [
        "P10/ct: plans/P10.dcm: has no region 'GTV-1'",
        "P9/ct: has 2 structure sets or segmentations: plans/P9.dcm, plans/P9b.dcm",
        "plans/empty.dcm: is not a DICOM file: no 'DICM' at byte 128",
        f"plans/lost.dcm: refers to series {writer.uid('P9/gone')}, which is no CT series of this source: there is "
        "none of that name in the source",
    ]


def test_a_structure_set_of_a_pet(source, writer):
    pet = writer.ct_series(np.zeros((2, 4, 4)), (0.0, 1.0), "P9", "pet")
    for image in pet:
        image.Modality = "PT"
    writer.save_series(pet, source / "pet")
    writer.save(writer.structure_set({"GTV-1": [box(100)]}, "P9", "pet", name="second"), source / "plans" / "pet.dcm")
    (fault,) = NsclcRadiomicsReader(source).faults
    assert fault.endswith("which is no CT series of this source: its modality is 'PT', expected CT")


def test_what_an_import_refuses_is_foreseen(source, writer, tmp_path):
    writer.save(writer.structure_set({"GTV-2": [box(100)]}, "P10"), source / "plans" / "P10.dcm")
    writer.save(writer.structure_set({"GTV-1": [box(100)]}, "P9", name="second"), source / "plans" / "P9b.dcm")
    reader = NsclcRadiomicsReader(source)
    assert reader.preview()["faulty"] == 2
    with pytest.raises(ImportRefused) as refused:
        import_dataset(reader, "nsclc-radiomics", tmp_path / "d")
    assert reader.foreseen == refused.value.faults


def test_a_lesion_beyond_the_picture_is_refused(source, writer, tmp_path):
    writer.save(writer.structure_set({"GTV-1": [box(100) + np.array((5000, 0, 0))]}, "P9"), source / "plans" / "P9.dcm")
    with pytest.raises(ImportRefused, match="GTV-1, contour 1: lies outside the picture"):
        import_dataset(NsclcRadiomicsReader(source), "nsclc-radiomics", tmp_path / "d")


def test_a_structure_set_that_names_no_series(source, writer):
    dataset = writer.structure_set({"GTV-1": [box(100)]}, "P9")
    del dataset.ReferencedFrameOfReferenceSequence
    writer.save(dataset, source / "plans" / "P9.dcm")
    assert next(item.case.case for item in NsclcRadiomicsReader(source, {"slices": "lesion"})) == "P9/ct/0000"
    writer.save_series(writer.ct_series(np.zeros((2, 4, 4)), (0.0, 1.0), "P9", "zzz"), source / "more")
    reader = NsclcRadiomicsReader(source)
    assert reader.faults == ["plans/P9.dcm: names no series, and 2 CT series share its patient and frame of reference"]


def test_a_segmentation_in_the_place_of_a_structure_set(source, writer):
    (source / "plans" / "P9.dcm").unlink()
    mask = np.zeros((3, 12, 12))
    mask[0, 3, 4] = 1
    writer.save(writer.segmentation({"Lung": 1 - mask, "GTV-1": mask}, HEIGHTS, "P9"), source / "plans" / "seg.dcm")
    scan = next(iter(NsclcRadiomicsReader(source, {"slices": "lesion"})))
    assert scan.case.volume == "P9/ct"
    assert np.argwhere(scan.mask).tolist() == [[3, 4]]


def test_nothing_there(tmp_path, writer):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match=r"holds no CT with masks: no DICOM files among 1 files\. Expected a folder"):
        NsclcRadiomicsReader(tmp_path)
    image = writer.ct_slice(np.zeros((4, 4)), 0.0)
    image.Modality = "MR"
    writer.save(image, tmp_path / "1.dcm")
    with pytest.raises(DatasetError, match=r"P1: left out series .* \(1.dcm\): its modality is 'MR', expected CT"):
        NsclcRadiomicsReader(tmp_path)


def test_the_published_case(shared_dir, tmp_path):
    """LUNG1-001: its GTV lies on 21 slices; the volume is that of the contours, summed from the file by itself."""
    from pydicom import dcmread

    path = shared_dir / "data" / "nsclc_lung1_001_dicom.zip"
    import_dataset(NsclcRadiomicsReader(path), "nsclc-radiomics", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    with zipfile.ZipFile(path) as archive:
        plan = dcmread(io.BytesIO(archive.read("NSCLC-Radiomics/LUNG1-001/mask_rtstruct/1-1.dcm")))
    number = next(roi.ROINumber for roi in plan.StructureSetROISequence if roi.ROIName == "GTV-1")
    contours = next(roi for roi in plan.ROIContourSequence if roi.ReferencedROINumber == number).ContourSequence
    area_mm2, heights = 0.0, set()
    for contour in contours:
        x, y, z = np.array(contour.ContourData, float).reshape(-1, 3).T
        area_mm2 += abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        heights.add(z[0])
    assert dataset.images.shape == (134, 512, 512)
    assert (dataset.lesion_px(1) > 0).sum() == len(heights) == 21
    volume = dataset.cases["volume_cm3"].unique()
    assert volume == pytest.approx([area_mm2 * 3 / 1000], rel=0.02)
    assert volume == pytest.approx([156.3], abs=0.1)
    grid = dataset.volumes["LUNG1-001/ct"].geometry
    lesion = np.flatnonzero(dataset.lesion_px(1))
    assert grid.to_mm([lesion[0], 0, 0])[2] == pytest.approx(min(heights))
    assert grid.to_mm([lesion[-1], 0, 0])[2] == pytest.approx(max(heights))
    assert dataset.images[:].min() == -1024
