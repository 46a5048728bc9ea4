"""The published tables of slices: what is kept, what is put right, what is refused."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lungzoo.data.pickles.table import PickleRefused
from lungzoo.data.readers import READERS
from lungzoo.data.readers.mendeley_lungrads import MendeleyLungRadsReader, judge_lung_mask
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import ConfigError, DatasetError, ImportRefused, StorageError

WHOLE = np.array([[-3024, 40, -900, -850], [-1024, 30, -880, 0], [-1024, 50, -1000, 60]], np.float64)
LUNG = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]])
MASK = np.array([[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.int8)
NO_PATIENTS = (
    "The source names no patients: each row counts as one. Splits keep near-duplicate slices together; other "
    "slices of one person may still be in two parts"
)


def row(**changes: object) -> dict[str, object]:
    return {"label1": "LR2", "mask": MASK, "hu_array": WHOLE * LUNG, "hu_array_old": WHOLE, **changes}


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(list(rows)).to_pickle(path)
    return path


@pytest.fixture
def train(tmp_path: Path):
    def make(*rows: dict[str, object]) -> Path:
        return write(tmp_path / "source" / "lung_cancer_train.pkl", *rows)

    return make


def faults(source: Path) -> list[str]:
    dest = source.parent / "dest" / "d"
    with pytest.raises(ImportRefused) as caught:
        import_dataset(MendeleyLungRadsReader(source), "mendeley-lungrads", dest)
    assert list(dest.parent.iterdir()) == []
    return caught.value.faults


class TestReading:
    def test_a_row(self, train):
        source = train(row(), row(label1="LR4B"))
        first, second = MendeleyLungRadsReader(source)
        assert first.image.tolist() == [[0, 0, -900, -850], [0, 0, -880, 0], [0, 0, -1000, 0]]
        assert (first.image.dtype, first.mask.dtype) == (np.int16, np.uint8)
        assert first.mask.tolist() == MASK.tolist()
        case = second.case
        assert (case.case, case.patient, case.volume, case.z) == ("train-0001", "train-0001", "train-0001", 0)
        assert (case.label, case.source) == ("LR4B", "lung_cancer_train.pkl#1")
        assert case.extra == {"published_split": "train", "lung_mask": "ok"}
        assert np.isnan(case.spacing_mm).all()

    def test_padding_becomes_air(self, train):
        reader = MendeleyLungRadsReader(train(row(), row()), {"array": "hu_array_old"})
        first, _ = reader
        assert first.image[0].tolist() == [-1024, 40, -900, -850]
        assert reader.notes == [
            "2 values below -1024 HU (padding) in 2 row(s) were set to -1024 HU",
            NO_PATIENTS,
        ]
        assert reader.window == "none: HU"

    def test_the_other_array(self, train):
        assert MendeleyLungRadsReader(train(row())).window == "none: HU, 0 outside an automatic lung mask"
        with pytest.raises(
            ConfigError, match=r"Received: 'hu_aray'. Did you mean 'hu_array'\? Allowed: hu_array, hu_array_old\."
        ):
            MendeleyLungRadsReader(train(row()), {"array": "hu_aray"})

    @pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", "?", "f4"])
    @pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (3, 4, 1)])
    def test_masks_of_any_type(self, dtype, shape, train):
        (item,) = MendeleyLungRadsReader(train(row(mask=MASK.astype(dtype).reshape(shape))))
        assert item.mask.tolist() == MASK.tolist()

    @pytest.mark.parametrize("dtype", ["i2", ">i2", "i4", "f4", "f8", ">f8"])
    @pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (3, 4, 1)])
    def test_hu_of_any_type(self, dtype, shape, train):
        hu = np.asfortranarray(WHOLE.astype(dtype).reshape(shape))
        (item,) = MendeleyLungRadsReader(train(row(hu_array_old=hu)), {"array": "hu_array_old"})
        assert item.image.tolist() == np.maximum(WHOLE, -1024).tolist()

    def test_unsigned_hu(self, train):
        hu = np.full((3, 4), 200, np.uint8)
        (item,) = MendeleyLungRadsReader(train(row(hu_array=hu)))
        assert (item.image == 200).all()

    def test_fractions_are_rounded(self, train):
        reader = MendeleyLungRadsReader(train(row(hu_array=WHOLE * LUNG + 0.4)))
        (item,) = reader
        assert item.image[0].tolist() == [0, 0, -900, -850]
        assert "1 row(s) had fractions of a HU, which were rounded" in reader.notes

    def test_empty_masks_are_counted(self, train):
        reader = MendeleyLungRadsReader(train(row(), row(mask=MASK * 0)))
        assert [item.mask.any() for item in reader] == [True, False]
        assert "1 row(s) have an empty mask" in reader.notes

    def test_lung_masks_that_failed(self, train):
        reader = MendeleyLungRadsReader(train(row(), row(hu_array=WHOLE), row(hu_array=WHOLE * 0)))
        assert [item.case.extra["lung_mask"] for item in reader] == ["ok", "failed", "empty"]
        assert (
            "in 1 row(s) the authors' lung mask failed: the whole slice is in hu_array (it equals hu_array_old on at "
            "least 99% of the pixels that are not 0 HU)"
        ) in reader.notes
        assert "in 1 row(s) the authors' lung mask left nothing in hu_array" in reader.notes
        assert [item.case.extra["lung_mask"] for item in reader] == ["ok", "failed", "empty"]
        assert len(reader.notes) == len(set(reader.notes))

    def test_other_columns_do_no_harm(self, train):
        (item,) = MendeleyLungRadsReader(train(row(path="a.dcm", thickness=1.25)))
        assert item.case.label == "LR2"

    def test_imported(self, train, tmp_path):
        reader = MendeleyLungRadsReader(train(row(), row(label1="LR3")))
        steps: list[tuple[int, int]] = []
        import_dataset(reader, "mendeley-lungrads", tmp_path / "d", lambda *step: steps.append(step))
        dataset = PreparedDataset(tmp_path / "d")
        assert dataset.cases["published_split"].tolist() == ["train", "train"]
        assert dataset.info["notes"] == [NO_PATIENTS]
        assert not dataset.patients_known
        assert dataset.info["citation"].endswith("doi:10.17632/5rr22hgzwr.1")
        assert steps == [(1, 2), (2, 2)]

    def test_registered(self):
        assert READERS.get("mendeley-lungrads") is MendeleyLungRadsReader


@pytest.mark.parametrize(
    ("kept", "outcome"), [(0, "empty"), (1, "ok"), (98, "ok"), (99, "failed"), (100, "failed")], ids=str
)
def test_lung_mask_rule(kept, outcome):
    """Of 200 pixels 100 are not 0 HU; whether the others are kept cannot be seen."""
    whole = np.zeros((10, 20), np.int16)
    whole[:, :10] = np.arange(1, 101).reshape(10, 10)
    hu = np.where((whole > 0) & (whole <= kept), whole, 0)
    assert judge_lung_mask(hu, whole) == outcome


class TestSources:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write(tmp_path / "set" / "lung_cancer_train.pkl", row(), row(label1="LR3"))
        write(tmp_path / "set" / "lung_cancer_test.pkl", row(label1="LR4A"))
        (tmp_path / "set" / "readme.txt").write_text("x")
        return tmp_path / "set"

    def packed(self, folder: Path, kind: str) -> Path:
        path = folder.parent / f"set.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in folder.iterdir():
                    archive.write(file, f"a/{file.name}")
        else:
            with tarfile.open(path, "w:" + kind.partition(".")[2]) as archive:
                archive.add(folder, "a")
        return path

    @pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
    def test_packed_in_any_way(self, kind, folder):
        source = folder if kind == "folder" else self.packed(folder, kind)
        reader = MendeleyLungRadsReader(source)
        assert [item.case.case for item in reader] == ["test-0000", "train-0000", "train-0001"]
        assert [item.case.extra["published_split"] for item in reader] == ["test", "train", "train"]
        assert reader.preview()["labels"] == "LR2 1, LR3 1, LR4A 1"
        assert reader.preview()["slices"] == len(reader) == 3

    @pytest.mark.parametrize(
        ("name", "split", "prefix"),
        [
            ("lung_cancer_test.pkl", "test", "test"),
            ("Train.PKL", "train", "train"),
            ("my-train-2.pickle", "train", "train"),
            ("constrained.pkl", "", "constrained"),
            ("train_and_test.pkl", "", "train_and_test"),
        ],
    )
    def test_the_split_is_in_the_name(self, name, split, prefix, tmp_path):
        (item,) = MendeleyLungRadsReader(write(tmp_path / name, row()))
        assert (item.case.extra["published_split"], item.case.patient) == (split, f"{prefix}-0000")

    def test_the_same_split_twice(self, folder):
        write(folder / "old" / "lung_cancer_train.pkl", row())
        with pytest.raises(
            DatasetError, match=r"would be called 'train-0000': lung_cancer_train.pkl and old/lung_canc"
        ):
            MendeleyLungRadsReader(folder)

    def test_no_pickle(self, tmp_path):
        (tmp_path / "scan.dcm").touch()
        with pytest.raises(
            DatasetError, match=r"holds no pickle. Received files such as scan.dcm; expected a .pkl file"
        ):
            MendeleyLungRadsReader(tmp_path)
        (tmp_path / "scan.dcm").unlink()
        with pytest.raises(DatasetError, match="Received no files"):
            MendeleyLungRadsReader(tmp_path)
        with pytest.raises(DatasetError, match="No file or folder at"):
            MendeleyLungRadsReader(tmp_path / "absent.pkl")

    def test_a_damaged_archive(self, folder):
        path = self.packed(folder, "zip")
        content = bytearray(path.read_bytes())
        content[200] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"set\.zip"):
            MendeleyLungRadsReader(path)

    def test_no_room_to_unpack(self, folder, monkeypatch):
        class Full(io.BytesIO):
            def write(self, data: object) -> int:
                raise OSError(28, "No space left on device")

        path = self.packed(folder, "zip")
        monkeypatch.setattr("lungzoo.data.readers.mendeley_lungrads.tempfile.TemporaryFile", Full)
        with pytest.raises(StorageError, match=r"Cannot unpack a/lung_cancer_test\.pkl in .*: No space left on device"):
            MendeleyLungRadsReader(path)

    def test_nothing_stays_behind(self, folder, tmp_path, monkeypatch):
        (tmp_path / "temporary").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        reader = MendeleyLungRadsReader(self.packed(folder, "tar.gz"))
        assert len(list(reader)) == 3
        assert os.listdir(tmp_path / "temporary") == []


class TestRefused:
    def test_missing_columns(self, train):
        source = train({"label1": "LR2", "mask": MASK, "image": WHOLE})
        with pytest.raises(
            DatasetError,
            match=r"train\.pkl lacks the columns hu_array, hu_array_old. Received the columns label1, mask, image; "
            "expected label1, mask, hu_array, hu_array_old",
        ):
            MendeleyLungRadsReader(source)

    def test_a_pickle_of_something_else(self, tmp_path):
        (tmp_path / "train.pkl").write_bytes(pickle.dumps([1, 2]))
        with pytest.raises(PickleRefused, match=r"train\.pkl holds a list where a pandas frame is expected"):
            MendeleyLungRadsReader(tmp_path / "train.pkl")

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"label1": "LR5"}, "label1 is 'LR5'. Allowed: LR2, LR3, LR4A, LR4B."),
            ({"label1": None}, "label1 is None. Allowed: LR2, LR3, LR4A, LR4B."),
            ({"label1": 3}, "label1 is int 3. Allowed: LR2, LR3, LR4A, LR4B."),
            ({"mask": None}, "mask is None, expected an array of numbers"),
            ({"mask": "none"}, "mask is 'none', expected an array of numbers"),
            ({"mask": MASK * 3}, "mask has values other than 0 and 1, such as 3"),
            ({"mask": MASK * 0.5}, "mask has values other than 0 and 1, such as 0.5"),
            ({"mask": MASK * np.nan}, "mask has values other than 0 and 1, such as nan"),
            ({"mask": (MASK * 2).view(bool)}, "mask has values other than 0 and 1, such as 2"),
            ({"mask": MASK.T}, "mask is 4×3, but hu_array is 3×4"),
            ({"mask": MASK[0]}, "mask has shape (4,), expected (H, W), (1, H, W) or (H, W, 1)"),
            ({"mask": np.zeros((2, 3, 4))}, "mask has shape (2, 3, 4), expected (H, W), (1, H, W) or (H, W, 1)"),
            ({"hu_array": WHOLE[:2]}, "mask is 3×4, but hu_array is 2×4"),
            ({"hu_array_old": WHOLE[:2]}, "hu_array_old is 2×4, but hu_array is 3×4"),
            ({"hu_array": np.where(LUNG, np.nan, 0)}, "hu_array has 4 values that are NaN or infinite"),
            ({"hu_array": np.where(LUNG, np.inf, 0)}, "hu_array has 4 values that are NaN or infinite"),
            ({"hu_array_old": np.where(LUNG, -np.inf, 0)}, "hu_array_old has 4 values that are NaN or infinite"),
            ({"hu_array": WHOLE * 100}, "hu_array has values from -302400 to 6000, which are no HU"),
            ({"hu_array": WHOLE > 0}, "hu_array is an array of true and false, expected HU"),
            ({"hu_array": np.zeros((0, 4))}, "hu_array has shape (0, 4), expected (H, W), (1, H, W) or (H, W, 1)"),
        ],
    )
    def test_row_and_reason(self, changes, fault, train):
        assert faults(train(row(), row(**changes), row())) == [f"lung_cancer_train.pkl, row 1: {fault}"]

    def test_all_faults_come_at_once(self, train):
        source = train(row(label1="LR1"), row(), row(mask=MASK * 2))
        assert [fault.partition(":")[0] for fault in faults(source)] == [
            "lung_cancer_train.pkl, row 0",
            "lung_cancer_train.pkl, row 2",
        ]

    def test_the_sound_rows_can_be_had(self, train, tmp_path):
        reader = MendeleyLungRadsReader(train(row(label1="LR1"), row()))
        skipped = import_dataset(reader, "mendeley-lungrads", tmp_path / "d", skip_faulty=True)
        assert len(skipped) == 1
        assert PreparedDataset(tmp_path / "d").cases["case"].tolist() == ["train-0001"]

    def test_rows_of_another_size(self, train):
        other = {name: np.zeros((5, 5)) for name in ("mask", "hu_array", "hu_array_old")}
        (fault,) = faults(train(row(), row(**other)))
        assert fault == "lung_cancer_train.pkl#1: image (5, 5) and mask (5, 5), expected (3, 4) for both"


class TestRealFiles:
    @pytest.fixture
    def pickles(self, shared_dir: Path) -> Path:
        folder = shared_dir / "data" / "mendeley_pickles"
        if not folder.is_dir():
            pytest.skip(f"no {folder}")
        return folder

    def test_every_pandas_gives_the_same(self, pickles):
        crops = sorted(pickles.glob("crop_*.zip"))
        assert len(crops) >= 5
        first, *others = ([(s.image, s.mask, s.case.label) for s in MendeleyLungRadsReader(path)] for path in crops)
        assert [label for _, _, label in first] == ["LR2", "LR3", "LR4A", "LR4B"]
        assert [int(mask.sum()) for _, mask, _ in first] == [867, 3835, 4033, 851]
        for other in others:
            for (image, mask, label), (other_image, other_mask, other_label) in zip(first, other, strict=True):
                np.testing.assert_array_equal(image, other_image)
                np.testing.assert_array_equal(mask, other_mask)
                assert label == other_label

    def test_mixed_rows(self, pickles, tmp_path):
        (source,) = pickles.glob("full_mixed*.zip")
        reader = MendeleyLungRadsReader(source, {"array": "hu_array_old"})
        import_dataset(reader, "mendeley-lungrads", tmp_path / "d")
        dataset = PreparedDataset(tmp_path / "d")
        assert dataset.images.shape == (4, 512, 512)
        assert dataset.images.min() == -1024
        assert dataset.lesion_px(1).tolist() == [867, 3985, 4048, 851]
        assert reader.notes[0] == "56,285 values below -1024 HU (padding) in 1 row(s) were set to -1024 HU"
        assert set(dataset.cases["lung_mask"]) == {"ok"}
