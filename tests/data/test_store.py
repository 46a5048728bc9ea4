from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lungzoo.data import writer as writer_module
from lungzoo.data.store import FORMAT_VERSION, PreparedDataset
from lungzoo.data.writer import StoreWriter, import_dataset
from lungzoo.errors import BusyError, DatasetError, ImportRefused, StorageError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = {"reader": "hand-made", "mask_bits": ["truth"]}


def edit_info(dataset: PreparedDataset, **changes: object) -> None:
    path = dataset.path / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def run_writer(code: str, dest: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has `dest`, `one` (a slice) and the store at hand."""
    prelude = (
        "import os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from lungzoo.data.case import Case, Slice\n"
        "from lungzoo.data.writer import StoreWriter\n"
        "dest = Path(sys.argv[1])\n"
        "one = Slice(np.zeros((64, 64), np.int16), np.zeros((64, 64), np.uint8), Case('a', 'A', 'A', 0))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + code, str(dest)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


class TestRoundTrip:
    def test_arrays_and_cases_come_back(self, make_slice, store):
        mask = np.eye(6, dtype=np.uint8)
        slices = [make_slice(0, mask=mask, label="LR2", spacing_mm=(2.5, 0.7, 0.7)), make_slice(-1000)]
        dataset = store(slices)
        assert dataset.images.dtype == np.int16
        assert dataset.images[:, 0, 0].tolist() == [0, -1000]
        assert np.array_equal(dataset.masks[0], mask)
        assert dataset.cases["case"].tolist() == ["A/0", "A/-1000"]
        assert dataset.cases["label"].tolist() == ["LR2", ""]
        assert dataset.cases["spacing_y_mm"].isna().tolist() == [False, True]
        assert (len(dataset), dataset.units, dataset.mask_bits) == (2, "hu", ("truth",))

    def test_arrays_stay_on_disk(self, make_slice, store):
        dataset = store([make_slice()])
        assert isinstance(dataset.images, np.memmap)
        assert not dataset.images.flags.writeable

    def test_extra_columns_are_kept(self, make_slice, store):
        dataset = store([make_slice(extra={"diameter_mm": 7.5, "kind": "solid"})])
        assert dataset.cases[["diameter_mm", "kind"]].iloc[0].tolist() == [7.5, "solid"]

    def test_name_and_place_do_not_enter_the_fingerprint(self, make_slice, hand_made_reader, tmp_path):
        reader = hand_made_reader([make_slice(0), make_slice(1)])
        for dest in ("one", "deeper/two"):
            import_dataset(reader, "hand-made", tmp_path / dest)
        one, two = PreparedDataset(tmp_path / "one"), PreparedDataset(tmp_path / "deeper/two")
        assert one.fingerprint == two.fingerprint
        assert two.name == "two"

    @pytest.mark.parametrize("change", [{"patient": "B"}, {"label": "LR3"}, {"z": 5}])
    def test_content_enters_the_fingerprint(self, change, make_slice, hand_made_reader, tmp_path):
        for name, case in (("one", {}), ("two", change)):
            import_dataset(hand_made_reader([make_slice(**case)]), "hand-made", tmp_path / name)
        assert PreparedDataset(tmp_path / "one").fingerprint != PreparedDataset(tmp_path / "two").fingerprint

    def test_progress_counts_slices(self, make_slice, hand_made_reader, tmp_path):
        seen = []
        reader = hand_made_reader([make_slice(0), make_slice(1)])
        import_dataset(reader, "hand-made", tmp_path / "d", lambda done, total: seen.append((done, total)))
        assert seen == [(1, 2), (2, 2)]


class TestConsensus:
    # Bits of three readers on four pixels: nobody, reader 0, readers 0 and 2, all.
    BITS = ((0b000, 0b001), (0b101, 0b111))

    @pytest.mark.parametrize(
        ("min_readers", "expected"),
        [(1, [[0, 1], [1, 1]]), (2, [[0, 0], [1, 1]]), (3, [[0, 0], [0, 1]]), (8, [[0, 0], [0, 1]])],
    )
    def test_counts_readers(self, min_readers, expected, make_slice, store):
        dataset = store([make_slice(mask=self.BITS, size_px=2)], mask_bits=("a", "b", "c"))
        assert dataset.consensus(np.array([0]), min_readers)[0].tolist() == expected

    def test_one_reader_agrees_with_themselves(self, make_slice, store):
        dataset = store([make_slice(mask=[[0, 1], [0, 0]], size_px=2)])
        assert dataset.consensus(np.array([0]), 2)[0].tolist() == [[0, 1], [0, 0]]


class TestDamage:
    @pytest.fixture
    def dataset(self, make_slice, store):
        return store([make_slice(z) for z in range(4)])

    def refused(self, path: Path, verify: bool = True) -> str:
        with pytest.raises(DatasetError) as caught:
            PreparedDataset(path, verify=verify)
        return str(caught.value)

    def test_no_folder(self, tmp_path):
        path = tmp_path / "absent"
        assert self.refused(path) == (
            f"No dataset folder at {path}. Check the path; make one of your own scans with lungzoo data import, or of "
            f"none with: lungzoo data phantom {path}"
        )

    def test_empty_folder(self, tmp_path):
        assert self.refused(tmp_path) == (
            f"{tmp_path} is not a prepared dataset: it lacks dataset.json, images.npy, masks.npy, cases.parquet, "
            "volumes.parquet. "
            "Make one with 'lungzoo data import' or 'lungzoo data phantom'."
        )

    @pytest.mark.parametrize("name", ["images.npy", "masks.npy", "cases.parquet", "dataset.json"])
    def test_half_written(self, name, dataset):
        (dataset.path / name).unlink()
        assert f"is not a prepared dataset: it lacks {name}." in self.refused(dataset.path)

    @pytest.mark.parametrize("name", ["images.npy", "masks.npy", "cases.parquet"])
    def test_flipped_byte(self, name, dataset):
        flip_byte(dataset.path / name, -1)
        assert self.refused(dataset.path) == (
            f"{dataset.path / name} is not what was imported (its sha256 differs). Import the dataset again."
        )

    @pytest.mark.parametrize("size", [0, 60, 130])
    @pytest.mark.parametrize("verify", [True, False])
    def test_truncated_array(self, size, verify, dataset):
        path = dataset.path / "images.npy"
        os.truncate(path, size)
        message = self.refused(dataset.path, verify)
        assert str(path) in message
        assert "Import the dataset again." in message

    def test_truncated_table(self, dataset):
        path = dataset.path / "cases.parquet"
        os.truncate(path, 40)
        assert self.refused(dataset.path, verify=False).startswith(f"{path} is damaged: ")

    @pytest.mark.parametrize(
        ("array", "received"),
        [(np.zeros((4, 6, 5), "<i2"), "int16 (4, 6, 5)"), (np.zeros((4, 6, 6), "f4"), "float32 (4, 6, 6)")],
    )
    def test_misshaped_array(self, array, received, dataset):
        path = dataset.path / "images.npy"
        np.save(path, array)
        assert self.refused(dataset.path, verify=False) == (
            f"{path}: received {received}, but dataset.json says int16 (4, 6, 6). Import the dataset again."
        )

    def test_pickled_array_is_not_loaded(self, dataset):
        np.save(dataset.path / "images.npy", np.array([{"a": 1}]), allow_pickle=True)
        assert "images.npy is damaged" in self.refused(dataset.path, verify=False)

    def test_table_of_another_length(self, dataset):
        dataset.cases.iloc[:3].to_parquet(dataset.path / "cases.parquet", index=False)
        assert "images, masks and cases disagree: 4, 4 and 3 rows" in self.refused(dataset.path, verify=False)

    def test_table_without_a_column(self, dataset):
        dataset.cases.drop(columns=["patient", "z"]).to_parquet(dataset.path / "cases.parquet", index=False)
        assert "cases.parquet lacks the columns patient, z." in self.refused(dataset.path, verify=False)

    def test_wrong_version(self, dataset):
        edit_info(dataset, format_version=99)
        assert self.refused(dataset.path) == (
            f"{dataset.path} has format version 99; this lungzoo reads version {FORMAT_VERSION}. Import it again."
        )

    @pytest.mark.parametrize("text", ["", "{", '{"format_version": 1', "[]", "null", '{"title": "x"}', "\udcff"])
    def test_damaged_json(self, text, dataset):
        path = dataset.path / "dataset.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert self.refused(dataset.path) == f"{path} is damaged. Import the dataset again."

    @pytest.mark.parametrize(
        "change", [{"units": "K"}, {"shape": 4}, {"shape": "abc"}, {"sha256": {}}, {"sha256": []}, {"units": []}]
    )
    def test_json_that_says_too_little(self, change, dataset):
        edit_info(dataset, **change)
        path = dataset.path / "dataset.json"
        assert self.refused(dataset.path) == f"{path} is incomplete. Import the dataset again."


class TestRefusal:
    """Whatever goes wrong, the folder that the dataset was to stand in is as before."""

    @pytest.fixture
    def parent(self, tmp_path):
        yield tmp_path
        assert list(tmp_path.iterdir()) == []

    def test_mixed_sizes_name_every_file(self, parent, make_slice, hand_made_reader):
        slices = [make_slice(0), make_slice(1, size_px=7), make_slice(2), make_slice(3, mask=np.zeros((6, 5)))]
        with pytest.raises(ImportRefused) as caught:
            import_dataset(hand_made_reader(slices), "hand-made", parent / "d")
        assert str(caught.value).splitlines() == [
            "hand-made: 2 faulty file(s); nothing was imported.",
            "  A-1.png: image (7, 7) and mask (7, 7), expected (6, 6) for both",
            "  A-3.png: image (6, 6) and mask (6, 5), expected (6, 6) for both",
        ]

    def test_faults_of_reader_and_sizes_come_together(self, parent, make_slice, hand_made_reader):
        class Faulty(hand_made_reader):
            def __iter__(self):
                yield from self.slices
                raise ImportRefused("source", ["A-7.png: does not decode"])

        reader = Faulty([make_slice(0), make_slice(1, size_px=7)])
        with pytest.raises(ImportRefused) as caught:
            import_dataset(reader, "hand-made", parent / "d")
        assert [fault.split(":")[0] for fault in caught.value.faults] == ["A-1.png", "A-7.png"]

    def test_no_slices(self, parent, hand_made_reader):
        with pytest.raises(DatasetError, match=r"^hand-made: no slices found\. Nothing was written\.$"):
            import_dataset(hand_made_reader([]), "hand-made", parent / "d")

    def test_case_twice(self, parent, make_slice, hand_made_reader):
        with pytest.raises(DatasetError, match="The case 'A/0' occurs more than once"):
            import_dataset(hand_made_reader([make_slice(0), make_slice(0)]), "hand-made", parent / "d")

    @pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
    def test_exception_in_the_middle(self, kind, parent, make_slice):
        def break_off() -> None:
            with StoreWriter(parent / "d", "hu") as writer:
                writer.add(make_slice(0))
                raise kind

        with pytest.raises(kind):
            break_off()

    def test_leaving_without_commit(self, parent, make_slice):
        with StoreWriter(parent / "d", "hu") as writer:
            writer.add(make_slice(0))

    @pytest.mark.parametrize("call", ["fsync", "rename"])
    def test_disk_full_while_committing(self, call, parent, make_slice, hand_made_reader, monkeypatch):
        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(writer_module.os, call, full)
        with pytest.raises(StorageError) as caught:
            import_dataset(hand_made_reader([make_slice(0)]), "hand-made", parent / "d")
        assert str(caught.value) == (
            "Cannot write the dataset: No space left on device. Free some space, or choose another disk."
        )

    @pytest.mark.skipif(sys.platform == "win32", reason="file-size limits are POSIX")
    def test_disk_full_while_adding(self, parent):
        """A file-size limit fails real writes, also the ones that closing a file retries."""
        code = (
            "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
            "try:\n"
            "    with StoreWriter(dest, 'hu') as writer:\n"
            "        for _ in range(100):\n"
            "            writer.add(one)\n"
            "except Exception as error:\n"
            "    print(type(error).__name__, error)\n"
        )
        done = run_writer(code, parent / "d")
        assert done.stdout.startswith("StorageError Cannot write the dataset: File too large."), done.stderr
        assert done.stderr == ""


class TestDestination:
    def test_taken_name(self, tmp_path, make_slice, store, hand_made_reader):
        dataset = store([make_slice(0)])
        with pytest.raises(DatasetError) as caught:
            import_dataset(hand_made_reader([make_slice(1)]), "hand-made", dataset.path)
        assert str(caught.value) == (f"{dataset.path} exists already. Choose another name, or delete it first.")
        assert PreparedDataset(dataset.path).fingerprint == dataset.fingerprint
        assert list(tmp_path.iterdir()) == [dataset.path]

    def test_two_writers(self, tmp_path, make_slice):
        dest = tmp_path / "d"
        with StoreWriter(dest, "hu") as first:
            first.add(make_slice(0))
            with pytest.raises(BusyError) as caught, StoreWriter(dest, "hu"):
                pass
            first.commit(SOURCE)
        assert str(caught.value) == (f"Another process is writing {dest}. Wait for it, or choose another destination.")
        assert len(PreparedDataset(dest)) == 1
        assert list(tmp_path.iterdir()) == [dest]

    def test_a_killed_writer_is_no_obstacle(self, tmp_path, make_slice, hand_made_reader):
        code = "writer = StoreWriter(dest, 'hu').__enter__()\nwriter.add(one)\nos.kill(os.getpid(), signal.SIGKILL)\n"
        dest = tmp_path / "d"
        assert run_writer(code, dest).returncode == -signal.SIGKILL
        assert (tmp_path / ".d.partial").is_dir()
        import_dataset(hand_made_reader([make_slice(0)]), "hand-made", dest)
        assert list(tmp_path.iterdir()) == [dest]

    def test_parent_that_is_a_file(self, tmp_path, make_slice, hand_made_reader):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"Cannot write the dataset .*file"):
            import_dataset(hand_made_reader([make_slice(0)]), "hand-made", tmp_path / "file" / "d")
