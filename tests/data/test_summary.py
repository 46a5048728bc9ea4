from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lungzoo.config import PhantomConfig
from lungzoo.data import store as store_module
from lungzoo.data.contact_sheet import choose_spread, contact_sheet
from lungzoo.data.readers.lidc_slices import LidcSlicesReader
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.summary import MIN_READERS, summarise
from lungzoo.data.writer import import_dataset
from lungzoo.errors import StorageError

SPACING_MM = (2.5, 0.5, 2.0)  # one pixel is 1 mm²


def square(side: int, value: int = 1) -> np.ndarray:
    mask = np.zeros((6, 6), np.uint8)
    mask[:side, :side] = value
    return mask


@pytest.fixture
def dataset(make_slice, store) -> PreparedDataset:
    """Three readers; patient A has a 4 and a 16 mm² lesion and an empty slice, B one of 9 px, one disputed."""
    return store(
        [
            make_slice(0, "A", square(2, 0b011), spacing_mm=SPACING_MM, label="LR2", readers=0b011),
            make_slice(1, "A", square(4, 0b111), spacing_mm=SPACING_MM, label="LR4A", readers=0b111),
            make_slice(2, "A", square(0), spacing_mm=SPACING_MM, label="LR2", readers=0),
            make_slice(0, "B", square(3, 0b101), readers=0b101),
            make_slice(1, "B", square(3, 0b100), readers=0b100),
        ],
        mask_bits=("r0", "r1", "r2"),
    )


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> PreparedDataset:
    dest = tmp_path_factory.mktemp("phantom") / "tiny"
    import_dataset(PhantomReader(PhantomConfig(patients=4, slices_per_patient=4, size_px=64)), "phantom", dest)
    return PreparedDataset(dest)


class TestSummarise:
    def test_counts(self, dataset):
        found = summarise(dataset)
        assert found["shape"] == [5, 6, 6]
        assert (found["patients"], found["volumes"], found["slices"]) == (2, 2, 5)
        parts = ("slices_with_lesion", "slices_disputed", "slices_empty")
        assert [found[part] for part in parts] == [3, 1, 1]

    def test_origin(self, dataset):
        found = summarise(dataset)
        assert [found[key] for key in ("name", "reader", "title", "licence", "units")] == [
            *("dataset", "hand-made", "Hand-made", "CC0-1.0", "hu")
        ]
        assert found["fingerprint"] == dataset.fingerprint

    def test_labels(self, dataset):
        assert summarise(dataset)["labels"] == {
            "LR2": {"slices": 2, "patients": 1},
            "LR4A": {"slices": 1, "patients": 1},
            "unlabelled": {"slices": 2, "patients": 1},
        }

    def test_spacing(self, dataset):
        assert summarise(dataset)["spacing"] == {
            **{"z_mm": [2.5, 2.5], "y_mm": [0.5, 0.5], "x_mm": [2.0, 2.0]},
            "slices_unknown": 2,
        }

    def test_sizes_are_in_mm_where_spacing_is_known(self, dataset):
        """Areas of 4 and 16 mm² have the diameters 2·√(4/π) = 2.26 and 2·√(16/π) = 4.51 mm; 9 px has 3.39 px."""
        found = summarise(dataset)["lesion_diameter"]
        mm, px = found["mm"], found["px"]
        assert (mm["slices"], mm["percentiles"]["0"], mm["percentiles"]["100"]) == (2, 2.26, 4.51)
        assert mm["percentiles"]["50"] == pytest.approx((2.26 + 4.51) / 2, abs=0.01)
        assert {name for name, count in mm["histogram"].items() if count} == {"0-4", "4-6"}
        assert (px["slices"], px["percentiles"]["50"]) == (1, 3.39)

    def test_readers(self, dataset):
        assert summarise(dataset)["readers"] == {
            "slices_by_reader": {"r0": 3, "r1": 2, "r2": 3},
            "slices_by_number": {"0": 1, "1": 1, "2": 2, "3": 1},
        }

    def test_nothing_drawn_and_no_spacing(self, make_slice, store):
        found = summarise(store([make_slice(0)]))
        assert found["lesion_diameter"] == {}
        assert found["spacing"] == {"z_mm": None, "y_mm": None, "x_mm": None, "slices_unknown": 1}
        assert found["slices_empty"] == 1

    def test_is_plain_json(self, dataset, phantom):
        for each in (dataset, phantom):
            found = summarise(each)
            assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_chunks_do_not_change_the_answer(self, dataset, monkeypatch):
        whole = summarise(dataset)
        monkeypatch.setattr(store_module, "_CHUNK_BYTES", 2 * 6 * 6)
        assert summarise(PreparedDataset(dataset.path)) == whole

    def test_areas(self, dataset):
        assert dataset.lesion_px(MIN_READERS).tolist() == [4, 16, 0, 9, 0]
        assert dataset.disputed(MIN_READERS).tolist() == [False, False, False, False, True]


class TestChooseSpread:
    def test_from_small_to_large(self):
        areas = np.array([50, 0, 10, 40, 20, 30])
        assert choose_spread(areas, np.array(list("abcdef")), 3).tolist() == [4, 3, 0]

    def test_prefers_patients_not_shown_yet(self):
        areas = np.array([1, 2, 3, 4])
        assert choose_spread(areas, np.array(["a", "a", "a", "b"]), 2).tolist() == [1, 3]

    def test_fills_up_with_empty_slices(self):
        assert choose_spread(np.array([0, 5, 0, 0]), np.array(list("aabb")), 3).tolist() == [1, 0, 3]

    @pytest.mark.parametrize("areas", [[], [0], [3]])
    def test_fewer_slices_than_tiles(self, areas):
        assert choose_spread(np.array(areas), np.array(["a"] * len(areas)), 9).tolist() == [0] * len(areas)


class TestContactSheet:
    def test_size_follows_the_grid(self, phantom, tmp_path):
        contact_sheet(phantom, tmp_path / "small.png", rows=1, columns=2)
        contact_sheet(phantom, tmp_path / "large.png", rows=2, columns=3)
        sizes = []
        for name in ("small.png", "large.png"):
            with Image.open(tmp_path / name) as picture:
                sizes.append(picture.size)
        small, large = sizes
        assert small[0] < large[0]
        assert small[1] < large[1]

    def test_no_room_for_slices_that_are_not_there(self, store, make_slice, tmp_path):
        few = store([make_slice(z) for z in range(4)])
        contact_sheet(few, tmp_path / "few.png", rows=4, columns=6)
        contact_sheet(few, tmp_path / "same.png", rows=1, columns=4)
        assert (tmp_path / "few.png").read_bytes() == (tmp_path / "same.png").read_bytes()

    def test_is_deterministic(self, phantom, tmp_path):
        for name in ("one.png", "two.png"):
            contact_sheet(phantom, tmp_path / name, rows=1, columns=2)
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()

    def test_outline_is_drawn(self, phantom, tmp_path):
        contact_sheet(phantom, tmp_path / "sheet.png", rows=1, columns=1)
        with Image.open(tmp_path / "sheet.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))[150:].astype(int)
        assert (pixels[..., 0] - pixels[..., 2] > 120).sum() > 20

    def test_several_readers(self, lidc_tree, tmp_path):
        import_dataset(LidcSlicesReader(lidc_tree), "lidc-slices", tmp_path / "d")
        contact_sheet(PreparedDataset(tmp_path / "d"), tmp_path / "sheet.png", rows=2, columns=3)
        assert (tmp_path / "sheet.png").stat().st_size > 10_000

    def test_unwritable_place(self, phantom, tmp_path):
        with pytest.raises(StorageError, match=r"Cannot write the contact sheet .*absent"):
            contact_sheet(phantom, tmp_path / "absent" / "sheet.png", rows=1, columns=1)


def test_notes_and_columns_of_some_readers(hand_made_reader, make_slice, tmp_path):
    splits = ("train", "train", "test", "")
    reader = hand_made_reader([make_slice(z, extra={"published_split": part}) for z, part in enumerate(splits)])
    reader.notes.append("put right")
    reader.patients_known = False
    import_dataset(reader, "hand-made", tmp_path / "d")
    facts = summarise(PreparedDataset(tmp_path / "d"))
    assert facts["columns"] == {"published_split": {"–": 1, "test": 1, "train": 2}}
    assert facts["notes"] == ["put right"]
    assert facts["patients_known"] is False


def test_tiles_show_the_same_whole_slice_with_and_without_a_lesion(phantom, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("lungzoo.data.contact_sheet._save", lambda figure, path: drawn.append(figure))
    contact_sheet(phantom, tmp_path / "sheet.png", rows=8, columns=9)
    (figure,) = drawn
    assert len(figure.axes) == len(phantom)  # lesion-free ones fill up
    assert {(axis.get_xlim(), axis.get_ylim()) for axis in figure.axes} == {((-0.5, 63.5), (63.5, -0.5))}
