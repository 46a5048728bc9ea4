from __future__ import annotations

import io
import os
import shutil
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungzoo.data import source_tree
from lungzoo.data.readers import READERS
from lungzoo.data.readers.lidc_slices import LidcSlicesReader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset
from lungzoo.errors import DatasetError, ImportRefused

IN_ORDER = [
    "P-9/nodule-2/slice-9",
    "P-9/nodule-2/slice-10",
    "P-9/nodule-10/slice-0",
    "P-10/nodule-0/slice-3",
    "P-10/nodule-0/slice-4",
]


def zipped(tree: Path, prefix: str = "") -> Path:
    path = tree.parent / "source.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tree.rglob("*"), reverse=True):
            if file.is_file():
                archive.write(file, f"{prefix}{tree.name}/{file.relative_to(tree).as_posix()}")
    return path


def fingerprint(source: Path, dest: Path) -> str:
    import_dataset(LidcSlicesReader(source), "lidc-slices", dest)
    return PreparedDataset(dest).fingerprint


def faults(source: Path) -> list[str]:
    """What the import of a source complains of; it must not leave anything behind."""
    dest = source.parent / "dest" / "d"
    with pytest.raises(ImportRefused) as caught:
        import_dataset(LidcSlicesReader(source), "lidc-slices", dest)
    assert list(dest.parent.iterdir()) == []
    return caught.value.faults


class TestReading:
    def test_order_is_natural(self, lidc_tree):
        reader = LidcSlicesReader(lidc_tree)
        assert [s.case.case for s in reader] == IN_ORDER
        assert len(reader) == 5
        assert [s.case.case for s in reader] == IN_ORDER

    def test_image_and_mask_bits(self, lidc_tree):
        """Mask k is a square of 2 + k pixels, so the corner has all four bits and rings have ever fewer."""
        first, *_, last = LidcSlicesReader(lidc_tree)
        assert (first.image == 90).all()
        assert first.image.dtype == np.uint8
        assert first.mask[0].tolist() == [0b1111, 0b1111, 0b1110, 0b1100, 0b1000, 0, 0, 0]
        assert last.mask[0].tolist() == [0b0010] * 3 + [0] * 5

    def test_case(self, lidc_tree):
        first = next(iter(LidcSlicesReader(lidc_tree))).case
        assert (first.patient, first.volume, first.z) == ("P-9", "P-9/nodule-2", 9)
        assert first.spacing_mm == (2.5, 0.7, 0.7)
        assert first.source == "P-9/nodule-2/images/slice-9.png"
        assert first.extra == {
            "malignancy": 4.5,
            "malignancy_readers": "5|4",
            "diameter_mm": 12.5,
            "texture": 5.0,
        }

    def test_readers_are_those_who_drew(self, lidc_tree):
        assert [s.case.readers for s in LidcSlicesReader(lidc_tree)] == [15, 15, 15, 2, 2]

    def test_label_comes_from_malignancy(self, lidc_tree):
        labels = [s.case.label for s in LidcSlicesReader(lidc_tree)]
        assert labels == ["malignant", "malignant", "benign", "", ""]

    @pytest.mark.parametrize(
        ("median", "label"),
        [("2.0", "benign"), ("2.5", "indeterminate"), ("3.5", "indeterminate"), ("4", "malignant"), ("", "")],
    )
    def test_label_thresholds(self, median, label, lidc_tree):
        (lidc_tree / "metadata.csv").write_text(f"patient,nodule,mal_median\nP-9,2,{median}\n")
        assert next(iter(LidcSlicesReader(lidc_tree))).case.label == label

    def test_without_metadata(self, lidc_tree):
        (lidc_tree / "metadata.csv").unlink()
        for s in LidcSlicesReader(lidc_tree):
            assert s.case.label == s.case.extra["malignancy_readers"] == ""
            assert np.isnan([*s.case.spacing_mm, s.case.extra["malignancy"]]).all()

    def test_registered(self):
        assert READERS.get("lidc-slices") is LidcSlicesReader


class TestSources:
    """The same content gives the same fingerprint, however it is packed."""

    @pytest.mark.parametrize("prefix", ["", "a/b/"])
    def test_zip_and_folder_agree(self, prefix, lidc_tree, tmp_path):
        packed = zipped(lidc_tree, prefix)
        assert fingerprint(lidc_tree, tmp_path / "one") == fingerprint(packed, tmp_path / "two")

    def test_folder_further_up(self, lidc_tree, tmp_path):
        outer = tmp_path / "outer"
        shutil.copytree(lidc_tree, outer / "x" / "y")
        assert fingerprint(lidc_tree, tmp_path / "one") == fingerprint(outer, tmp_path / "two")

    def test_what_macos_leaves_is_ignored(self, lidc_tree, tmp_path):
        expected = fingerprint(lidc_tree, tmp_path / "one")
        images = lidc_tree / "P-9" / "nodule-2" / "images"
        (images / ".DS_Store").write_bytes(b"\0")
        (images / "._slice-9.png").write_bytes(b"\0")
        junk = lidc_tree / "__MACOSX" / "P-9" / "nodule-2" / "images"
        junk.mkdir(parents=True)
        (junk / "slice-9.png").write_bytes(b"\0")
        assert fingerprint(lidc_tree, tmp_path / "two") == expected

    def test_a_table_elsewhere_is_not_the_metadata(self, lidc_tree, tmp_path):
        expected = fingerprint(lidc_tree, tmp_path / "one")
        (lidc_tree / "other").mkdir()
        (lidc_tree / "other" / "metadata.csv").write_text("what,ever\n1,2\n")
        assert fingerprint(lidc_tree, tmp_path / "two") == expected


class TestNotThisFormat:
    def refused(self, source: Path) -> str:
        with pytest.raises(DatasetError) as caught:
            LidcSlicesReader(source)
        assert not isinstance(caught.value, ImportRefused)
        return str(caught.value)

    def test_missing_source(self, tmp_path):
        path = tmp_path / "absent.zip"
        message = self.refused(path)
        assert message.startswith(f"No file or folder at {path}. Give a folder or zip with <patient>/nodule-k/")

    def test_not_a_zip(self, tmp_path):
        path = tmp_path / "source.zip"
        path.write_text("<html>404</html>")
        message = self.refused(path)
        assert message.startswith(f"{path} is not a sound zip file: File is not a zip file. Received 16 bytes; ")
        assert "fetch it again. Expected a folder or zip with <patient>/nodule-k/images/" in message

    def test_truncated_zip(self, lidc_tree):
        path = zipped(lidc_tree)
        os.truncate(path, path.stat().st_size // 2)
        assert "is not a sound zip file" in self.refused(path)

    def test_empty_file(self, tmp_path):
        (tmp_path / "source.zip").touch()
        assert "Received 0 bytes" in self.refused(tmp_path / "source.zip")

    def test_empty_folder(self, tmp_path):
        assert "holds no LIDC-IDRI-slices layout. Received no files; expected" in self.refused(tmp_path)

    def test_other_files(self, tmp_path):
        (tmp_path / "scan.dcm").touch()
        message = self.refused(tmp_path)
        assert "Received files such as scan.dcm; expected a folder or zip with" in message
        assert message.endswith("Other formats: lungzoo list readers")


class TestFaults:
    def png(self, tree: Path, part: str = "images") -> Path:
        return tree / "P-9" / "nodule-2" / part / "slice-9.png"

    def test_missing_mask(self, lidc_tree):
        self.png(lidc_tree, "mask-3").unlink()
        assert faults(lidc_tree) == ["P-9/nodule-2/mask-3/slice-9.png: is missing"]

    def test_missing_image(self, lidc_tree):
        self.png(lidc_tree).unlink()
        assert faults(lidc_tree) == ["P-9/nodule-2/images/slice-9.png: is missing"]

    def test_mask_of_another_size(self, lidc_tree, write_png):
        write_png(self.png(lidc_tree, "mask-1"), np.zeros((8, 9)))
        assert faults(lidc_tree) == ["P-9/nodule-2/mask-1/slice-9.png: mask is 8×9, its image 8×8"]

    def test_slices_of_different_sizes(self, lidc_tree, write_png):
        for part in ("images", "mask-0", "mask-1", "mask-2", "mask-3"):
            write_png(lidc_tree / "P-10" / "nodule-0" / part / "slice-4.png", np.zeros((9, 9)))
        assert faults(lidc_tree) == [
            "P-10/nodule-0/images/slice-4.png: image (9, 9) and mask (9, 9), expected (8, 8) for both"
        ]

    @pytest.mark.parametrize("mode", ["RGB", "LA", "P", "I"])
    def test_other_kinds_of_png(self, mode, lidc_tree, write_png):
        write_png(self.png(lidc_tree), np.zeros((8, 8)), "I;16" if mode == "I" else mode)
        (fault,) = faults(lidc_tree)
        assert fault.startswith("P-9/nodule-2/images/slice-9.png: is a PNG of mode ")
        assert fault.endswith("; expected 8-bit grey with one channel")

    def test_mask_with_other_values(self, lidc_tree, write_png):
        write_png(self.png(lidc_tree, "mask-0"), np.full((8, 8), 128))
        assert faults(lidc_tree) == [
            "P-9/nodule-2/mask-0/slice-9.png: mask has values other than 0 and 255, such as 128"
        ]

    def test_one_bit_masks_are_fine(self, lidc_tree, write_png, tmp_path):
        expected = fingerprint(lidc_tree, tmp_path / "one")
        path = self.png(lidc_tree, "mask-0")
        write_png(path, np.asarray(Image.open(path)), "1")
        assert fingerprint(lidc_tree, tmp_path / "two") == expected

    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(40)])
    def test_not_a_png(self, content, lidc_tree):
        self.png(lidc_tree).write_bytes(content)
        assert faults(lidc_tree) == ["P-9/nodule-2/images/slice-9.png: is not a PNG file"]

    @pytest.mark.parametrize("keep", [30, 45, 60])
    def test_cut_off_png(self, keep, lidc_tree):
        path = self.png(lidc_tree)
        path.write_bytes(path.read_bytes()[:keep])
        assert faults(lidc_tree) == ["P-9/nodule-2/images/slice-9.png: is cut off: a PNG without an end"]

    def test_png_with_a_hole(self, lidc_tree):
        path = self.png(lidc_tree)
        content = path.read_bytes()
        path.write_bytes(content[:45] + content[50:])
        (fault,) = faults(lidc_tree)
        assert fault.startswith("P-9/nodule-2/images/slice-9.png: does not decode: ")

    @pytest.mark.parametrize("position", [20, 30, 42, 48, 55])
    def test_changed_byte_in_a_png_never_crashes(self, position, lidc_tree):
        path = self.png(lidc_tree)
        content = bytearray(path.read_bytes())
        content[position] ^= 0xFF
        path.write_bytes(content)
        assert all(fault.startswith("P-9/nodule-2/") for fault in faults(lidc_tree))

    def test_decompression_bomb(self, lidc_tree):
        path = self.png(lidc_tree)
        content = bytearray(path.read_bytes())
        content[16:24] = struct.pack(">II", 50_000, 50_000)
        path.write_bytes(content)
        assert faults(lidc_tree) == [
            "P-9/nodule-2/images/slice-9.png: is 50000×50000 pixels large, more than the 16,777,216 allowed"
        ]

    @pytest.mark.parametrize("pack", [False, True])
    def test_oversized_file(self, pack, lidc_tree, monkeypatch):
        self.png(lidc_tree).write_bytes(bytes(2000))
        source = zipped(lidc_tree) if pack else lidc_tree
        monkeypatch.setattr(source_tree, "MAX_FILE_BYTES", 1000)
        (fault,) = faults(source)
        assert fault.endswith("images/slice-9.png: is 2,000 bytes large, more than the 1,000 allowed")

    def test_damaged_zip_entry(self, lidc_tree):
        path = zipped(lidc_tree)
        content = path.read_bytes()
        original = self.png(lidc_tree).read_bytes()
        path.write_bytes(content.replace(original, original[:-4] + b"oops"))
        assert len(faults(path)) >= 1
        assert all("Bad CRC-32" in fault for fault in faults(path))

    def test_the_same_slice_twice(self, lidc_tree):
        path = self.png(lidc_tree)
        shutil.copy(path, path.with_name("slice-009.png"))
        (fault,) = faults(lidc_tree)
        assert ": is the same slice as " in fault

    def test_all_faults_come_at_once(self, lidc_tree, write_png):
        (lidc_tree / "P-10" / "nodule-0" / "mask-2" / "slice-4.png").unlink()
        self.png(lidc_tree).write_text("broken")
        write_png(self.png(lidc_tree, "mask-0"), np.full((8, 8), 7))
        write_png(lidc_tree / "P-9" / "nodule-10" / "mask-1" / "slice-0.png", np.zeros((3, 3)))
        for source in (lidc_tree, zipped(lidc_tree)):
            found = faults(source)
            assert [fault.rpartition("P-")[2] for fault in found] == [
                "10/nodule-0/mask-2/slice-4.png: is missing",
                "9/nodule-2/images/slice-9.png: is not a PNG file",
                "9/nodule-2/mask-0/slice-9.png: mask has values other than 0 and 255, such as 7",
                "9/nodule-10/mask-1/slice-0.png: mask is 3×3, its image 8×8",
            ]

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("patient,k\nP-9,2\n", "metadata.csv: has no column nodule"),
            ("", "metadata.csv: has no column nodule, patient"),
            ("patient,nodule\nP-9,two\n", "metadata.csv, line 2: invalid literal for int() with base 10: 'two'"),
            ("patient,nodule\nP-9\n", "metadata.csv, line 2: invalid literal for int() with base 10: ''"),
            (
                "patient,nodule,pixel_spacing_mm\nP-9,2,0.7\nP-9,10,-1\n",
                "metadata.csv, line 3: pixel_spacing_mm must be a number above 0 or blank, received -1",
            ),
        ],
    )
    def test_metadata(self, text, fault, lidc_tree):
        (lidc_tree / "metadata.csv").write_text(text)
        assert faults(lidc_tree) == [fault]

    def test_metadata_that_is_not_text(self, lidc_tree):
        (lidc_tree / "metadata.csv").write_bytes(b"\xff\xfe\x00")
        (fault,) = faults(lidc_tree)
        assert fault.startswith("metadata.csv: 'utf-8' codec can't decode")


def test_pillow_is_left_as_it_was(lidc_tree):
    before = Image.MAX_IMAGE_PIXELS
    list(LidcSlicesReader(lidc_tree))
    assert before == Image.MAX_IMAGE_PIXELS


def test_leaving_early_stops_the_threads(lidc_tree):
    slices = iter(LidcSlicesReader(lidc_tree))
    next(slices)
    slices.close()


def test_encrypted_entry_is_a_fault(lidc_tree):
    path = zipped(lidc_tree)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = next(e for e in archive.infolist() if e.filename.endswith("images/slice-9.png"))
    content[entry.header_offset + 6] |= 1
    central = content.index(entry.filename.encode(), content.index(b"PK\x01\x02")) - 46
    content[central + 8] |= 1
    path.write_bytes(content)
    (fault,) = faults(path)
    assert "is encrypted" in fault


@pytest.mark.slow
def test_published_set(shared_dir, tmp_path):
    source = shared_dir / "data" / "lidc_idri_slices.zip"
    if not source.is_file():
        pytest.skip(f"no {source}")
    start = time.monotonic()
    import_dataset(LidcSlicesReader(source), "lidc-slices", tmp_path / "d")
    assert time.monotonic() - start < 60
    dataset = PreparedDataset(tmp_path / "d")
    assert dataset.images.shape == (8722, 128, 128)
    assert dataset.cases["patient"].nunique() == 742
    assert dataset.cases["volume"].nunique() == 2226
    assert set(dataset.cases["label"]) == {"", "benign", "indeterminate", "malignant"}
    assert dataset.consensus(np.arange(100), 2).any(axis=(1, 2)).mean() > 0.5
