from __future__ import annotations

import zipfile

import nibabel
import numpy as np
import pytest
from PIL import Image

from lungzoo.data.files.export import export_volume
from lungzoo.data.readers import READERS
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError, ImportRefused

FolderReader = READERS.get("folder")
HU = np.arange(2 * 4 * 4, dtype=np.int16).reshape(2, 4, 4) * 30 - 1000
DRAWN = (HU > -500).astype(np.uint8)


@pytest.fixture
def source(tmp_path):
    """Write a folder: arrays by name; the ending says how."""

    def write(**files):
        root = tmp_path / "source"
        for name, content in files.items():
            folder, _, rest = name.rpartition("__")
            stem, _, kind = rest.rpartition("_")
            path = root / folder / f"{stem}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "npy":
                np.save(path, content)
            elif kind == "nii":
                nibabel.save(nibabel.Nifti1Image(content, np.diag([0.5, 0.5, 2, 1])), path)
            elif kind == "csv":
                path.write_text(content)
            else:
                pages = [Image.fromarray(page) for page in (content if content.ndim == 3 else [content])]
                pages[0].save(path, **({"save_all": True, "append_images": pages[1:]} if pages[1:] else {}))
        return root

    return write


@pytest.fixture
def imported(source, tmp_path):
    def make(options=None, **files):
        import_dataset(FolderReader(source(**files), options), "folder", tmp_path / "d")
        return PreparedDataset(tmp_path / "d")

    return make


def faults_of(root, options, dest):
    with pytest.raises(ImportRefused) as refused:
        import_dataset(FolderReader(root, options), "folder", dest)
    return refused.value.faults


def test_stacks_of_hu(imported):
    dataset = imported(images__a_npy=HU, masks__a_npy=DRAWN, images__b_npy=HU + 1, masks__b_tif=DRAWN * 255)
    assert (dataset.images == np.concatenate([HU, HU + 1])).all()
    assert (dataset.masks == np.concatenate([DRAWN, DRAWN])).all()
    assert dataset.cases["case"].tolist() == ["a/0000", "a/0001", "b/0000", "b/0001"]
    assert dataset.cases["patient"].tolist() == ["a", "a", "b", "b"]
    assert dataset.volumes == {}
    assert dataset.cases["spacing_y_mm"].isna().all()
    assert dataset.info["notes"] == [
        "a and 1 more: the file was taken for a patient of its own; see the setting patients"
    ]
    assert (dataset.units, dataset.info["licence"]) == ("hu", "not stated")


def test_a_stack_in_a_tiff(imported):
    dataset = imported({"hu_offset": -1024}, a_tif=(HU + 1024).astype(np.uint16), a_mask_tif=DRAWN)
    assert (dataset.images == HU).all()


def test_eight_bit_slices_with_a_table(imported):
    table = (
        "image,patient,label,volume,z,spacing_y_mm,spacing_x_mm,age\na,P1,LR2,ct,7,0.7,0.7,60\nb,P1,LR3,ct,8,0.7,0.7,\n"
    )
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    dataset = imported(
        {"licence": "CC0-1.0", "citation": "mine"},
        **{"images__b_png": grey + 1, "masks__b_png": np.zeros_like(grey), "cases_csv": table},
        **{"images__a_png": grey, "masks__a_png": (grey > 3).astype(np.uint8) * 255},
    )
    assert dataset.units == "uint8"
    assert dataset.cases["case"].tolist() == ["ct/0007", "ct/0008"]
    assert dataset.cases["label"].tolist() == ["LR2", "LR3"]
    assert dataset.cases["spacing_y_mm"].tolist() == [0.7, 0.7]
    assert dataset.cases["age"].tolist()[0] == 60
    assert dataset.masks[0].sum() == 12
    assert (dataset.info["licence"], dataset.info["citation"]) == ("CC0-1.0", "mine")


def test_volumes_with_a_grid_and_lesions_only(imported):
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[0, 0, 2] = 2
    image = (np.arange(120).reshape(4, 5, 6) * 10 - 1000).astype(np.int16)
    dataset = imported({"slices": "lesion+1", "mask_value": 2}, P1__ct_nii=image, P1__mask_nii=mask)
    assert dataset.cases["case"].tolist() == ["P1/0001", "P1/0002", "P1/0003"]
    assert dataset.cases["patient"].unique().tolist() == ["P1"]
    assert np.argwhere(dataset.masks).tolist() == [[1, 4, 3]]
    assert dataset.volumes["P1"].shape_zyx == (6, 5, 4)


def test_sizes_made_alike_and_given_back(imported, tmp_path):
    image = (np.arange(120).reshape(4, 5, 6) * 10 - 1000).astype(np.int16)
    dataset = imported(
        {"size_px": 3},
        **{"images__a_nii": image, "masks__a_nii": np.ones_like(image, np.uint8)},
        **{"images__b_nii": image[:2], "masks__b_nii": np.zeros((2, 5, 6), np.uint8)},
    )
    assert dataset.images.shape == (12, 3, 3)
    assert dataset.images[6, 0].tolist() == [-1024, image[1, 3, 0], image[0, 3, 0]]
    assert "a: cropping cut off some of the lesion" in dataset.info["notes"]
    written = nibabel.load(export_volume(dataset, "a", tmp_path / "a.nii"))
    assert (np.asanyarray(written.dataobj) == image[1:4, 1:4]).all()
    assert written.affine[:3, 3].tolist() == [0.5, 0.5, 0]


def test_sizes_that_differ(source, tmp_path):
    root = source(images__a_npy=HU, masks__a_npy=DRAWN, images__b_npy=HU[:, 1:], masks__b_npy=DRAWN[:, 1:])
    assert faults_of(root, None, tmp_path / "d") == [
        "images/b.npy: its slices are 3×4, those of images/a.npy 4×4; --set size_px=N crops or pads all about their "
        "centre to N×N"
    ]


def test_slices_of_whom(source, tmp_path):
    root = source(images__P1_3_png=HU[0].astype(np.uint8), masks__P1_3_png=DRAWN[0])
    with pytest.raises(DatasetError, match=r"which patient 1 of its images belong to, such as images/P1_3\.png"):
        FolderReader(root)
    reader = FolderReader(root, {"patients": r"(?P<patient>P\d+)_(?P<z>\d+)"})
    import_dataset(reader, "folder", tmp_path / "d")
    cases = PreparedDataset(tmp_path / "d").cases
    assert (cases["patient"][0], cases["volume"][0], cases["z"][0], cases["case"][0]) == ("P1", "P1", 3, "P1/0003")
    with pytest.raises(ConfigError, match=r"slices=lesion\+N is for volumes"):
        FolderReader(root, {"patients": "file", "slices": "lesion+1"})
    with pytest.raises(DatasetError, match=r"has no cases.csv, though patients=csv"):
        FolderReader(root, {"patients": "csv"})


def test_sixteen_bits_need_an_offset(source, tmp_path):
    root = source(images__a_png=(HU[0] + 1024).astype(np.uint16), masks__a_png=DRAWN[0])
    faults = faults_of(root, {"patients": "file"}, tmp_path / "d")
    assert faults == [
        "images/a.png: its pixels are uint16, which has no room for air at -1000 HU. Say what has to be added to get "
        "HU, such as --set hu_offset=-1024"
    ]
    import_dataset(FolderReader(root, {"patients": "file", "hu_offset": -1024}), "folder", tmp_path / "d")
    assert (PreparedDataset(tmp_path / "d").images == HU[:1]).all()


def test_every_fault_is_named(source, tmp_path):
    root = source(
        **{"images__a_npy": HU.astype(float) / 9000, "masks__a_npy": DRAWN},
        **{"images__b_npy": HU, "masks__b_npy": DRAWN * 3},
        **{"images__c_npy": HU, "masks__c_npy": DRAWN[:1]},
        **{"images__d_npy": HU, "images__e_npy": HU, "masks__e_npy": DRAWN, "masks__f_npy": DRAWN},
        **{"images__g_npy": HU, "masks__g_npy": DRAWN},
    )
    (root / "images" / "e.npy").write_bytes(b"x")
    (root / "masks" / "g.npy").write_bytes(b"x")
    assert faults_of(root, None, tmp_path / "d") == [
        "masks/f.npy: is a mask without an image",
        "images/d.npy: has no mask",
        "images/e.npy: it is not a PNG, TIFF or NPY file: it begins with 78",
        "images/a.npy: its values run from -0.111111 to -0.00777778: a scaled image or a mask; expected HU",
        "images/b.npy: its mask holds the values 3; allowed are 0 and 1",
        "images/c.npy: its mask is (1, 4, 4) large, the image (2, 4, 4) (z, y, x)",
        "images/g.npy: its mask masks/g.npy: it is not a PNG, TIFF or NPY file: it begins with 78",
    ]


def test_one_slice_twice(source, tmp_path):
    table = "image,patient,volume,z\na,P,v,1\nb,P,v,1\n"
    root = source(a_npy=HU[0], a_mask_npy=DRAWN[0], b_npy=HU[0], b_mask_npy=DRAWN[0], cases_csv=table)
    assert faults_of(root, None, tmp_path / "d") == ["b.npy: is v, z 1, as is a.npy"]


def test_images_without_masks(imported):
    dataset = imported({"without_mask": "empty"}, images__a_npy=HU)
    assert not dataset.masks.any()


def test_a_zip(source, tmp_path):
    root = source(images__a_nii=HU.T, masks__a_nii=DRAWN.T)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in root.rglob("*.nii"):
            archive.write(path, path.relative_to(root))
    for n, given in enumerate((root, tmp_path / "a.zip")):
        import_dataset(FolderReader(given), "folder", tmp_path / str(n))
    assert PreparedDataset(tmp_path / "0").fingerprint == PreparedDataset(tmp_path / "1").fingerprint


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"units": "HU"}, "units must be one of auto, hu, uint8. Received: 'HU'"),
        ({"without_mask": "skip"}, "without_mask must be one of refuse, empty"),
        ({"size_px": -1}, "size_px must be 0 to 8192. Received: -1"),
        ({"patients": "(P"}, "not a regular expression"),
    ],
)
def test_settings(source, options, reason):
    with pytest.raises(ConfigError, match=reason):
        FolderReader(source(images__a_npy=HU, masks__a_npy=DRAWN), options)


def test_nothing_there(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(
        DatasetError, match=r"holds no images with masks. Received files such as notes.txt; expected images/<name>"
    ):
        FolderReader(tmp_path)


def test_a_phantom_of_a_chest(shared_dir, tmp_path):
    reader = FolderReader(shared_dir / "data" / "ibsi_chest_phantom", {"slices": "lesion"})
    assert reader.preview()["slices"] == "at most 60"
    import_dataset(reader, "folder", tmp_path / "d")
    dataset = PreparedDataset(tmp_path / "d")
    assert (len(dataset), int(dataset.masks.sum())) == (26, 125256)
    # Upright: the back lies on the table, and above the chest is air.
    assert dataset.images[:, -3].mean() > dataset.images[:, 3].mean()


def test_a_table_below_a_root_folder(source, tmp_path):
    table = "image,patient,label\na,P1,LR2\nb,P2,LR3\n"
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    root = source(
        **{"src/mine/images__a_png": grey, "src/mine/masks__a_png": DRAWN[0], "src/mine__cases_csv": table},
        **{"src/mine/images__b_png": grey, "src/mine/masks__b_png": DRAWN[0]},
    )
    import_dataset(FolderReader(root), "folder", tmp_path / "d")
    cases = PreparedDataset(tmp_path / "d").cases
    assert (cases["patient"].tolist(), cases["label"].tolist()) == (["P1", "P2"], ["LR2", "LR3"])
    root = source(c_png=grey, c_mask_png=DRAWN[0])
    assert FolderReader(root, {"patients": "file"}).faults == ["c: has no row in src/mine/cases.csv"]
    source(src__cases_csv=table)
    with pytest.raises(DatasetError, match=r"has 2 tables, src/cases\.csv, src/mine/cases\.csv; expected one"):
        FolderReader(root)


def test_whose_folders(source, tmp_path):
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    names = ("P1/images__a", "P1/masks__a", "P2/images__b", "P2/masks__b")
    root = source(**{f"mine/{name}_png": DRAWN[0] if "masks" in name else grey for name in names})
    reader = FolderReader(root)
    assert [entry.patient for entry in reader.entries] == ["P1", "P2"]
    assert reader.notes == ["mine/P1/a and 1 more: the first folder was taken for the patient"]
    (root / "mine" / "P1").rename(root / "mine" / "train")
    with pytest.raises(DatasetError, match="images in folders named train, which are no patients"):
        FolderReader(root)
    assert len(FolderReader(root, {"patients": "file"}).entries) == 2


def test_one_root_folder_is_no_patient(source):
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    names = ("images__a", "masks__a", "images__b", "masks__b")
    root = source(**{f"mine/{name}_png": DRAWN[0] if "masks" in name else grey for name in names})
    with pytest.raises(DatasetError, match=r"which patient 2 of its images belong to"):
        FolderReader(root)


def test_masks_drawn_white_in_any_type(imported):
    dataset = imported(images__a_nii=HU.T, masks__a_nii=DRAWN.T.astype(np.int16) * 255)
    assert int(dataset.masks.sum()) == int(DRAWN.sum())
    assert dataset.masks.max() == 1


def test_an_offset_for_eight_bits(source):
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    root = source(images__a_png=grey, masks__a_png=DRAWN[0])
    with pytest.raises(ConfigError, match=r"hu_offset is for images that become HU.*Received: hu_offset=-1024"):
        FolderReader(root, {"patients": "file", "hu_offset": -1024})


def test_faults_of_the_table_come_first(source):
    root = source(images__a_npy=HU[0], masks__a_npy=DRAWN[0], cases_csv="image,patient\nb,P1\n")
    with pytest.raises(ImportRefused) as refused:
        FolderReader(root)
    assert refused.value.faults == [
        "cases.csv, row 2: there is no image 'b', or more than one",
        "a: has no row in cases.csv",
    ]


def test_a_column_that_is_nearly_the_patient(source):
    root = source(images__a_npy=HU[0], masks__a_npy=DRAWN[0], cases_csv="image,pateint\na,P1\n")
    with pytest.raises(DatasetError, match=r"Its cases.csv gives none in the column patient. Is its column 'pateint'"):
        FolderReader(root)


def test_empty_masks_are_noted(imported):
    empty = np.zeros_like(DRAWN)
    dataset = imported(images__a_npy=HU, masks__a_npy=DRAWN, images__b_npy=HU + 1, masks__b_npy=empty)
    assert "1 of 2 mask(s) are empty: slices or volumes without a lesion" in dataset.info["notes"]


def test_a_dataset_without_any_lesion(imported):
    dataset = imported(images__a_npy=HU, masks__a_npy=np.zeros_like(DRAWN))
    assert "all 1 mask(s) are empty: the dataset has no lesion" in dataset.info["notes"]


def test_a_mask_value_that_occurs_nowhere(source, tmp_path):
    root = source(images__a_npy=HU, masks__a_npy=DRAWN * 2)
    with pytest.raises(DatasetError, match=r"mask_value=3 is in none of its 1 mask\(s\); they hold 0, 2\. Set"):
        import_dataset(FolderReader(root, {"mask_value": 3}), "folder", tmp_path / "d", skip_faulty=True)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("rule", "known"), [("file", False), ("auto", False), ("^(.)", True)])
def test_whether_patients_are_known(imported, rule, known):
    dataset = imported({"patients": rule}, images__a_npy=HU, masks__a_npy=DRAWN)
    assert dataset.patients_known is known
    assert dataset.info.get("patients_known") is (None if known else False)


def test_dicom_with_pictures_for_masks_says_what_to_do(tmp_path):
    (tmp_path / "P1").mkdir()
    for name in ("P1/1.dcm", "P1/2.dcm"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "P1" / "1_mask.png")
    with pytest.raises(ImportRefused) as told:
        import_dataset(FolderReader(tmp_path), "folder", tmp_path / "made")
    assert told.value.faults[0] == (
        "P1/1.dcm: 2 DICOM file(s) such as this are not read with pictures for masks; make a NIfTI file of each scan "
        "and one of its mask first, see docs/volumes.md"
    )
    assert "1_mask.png" in told.value.faults[1]


def test_a_folder_of_dicom(tmp_path):
    (tmp_path / "1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DatasetError, match=r"These are DICOM files, which other readers read: nsclc-radiomics \(with"):
        FolderReader(tmp_path)
