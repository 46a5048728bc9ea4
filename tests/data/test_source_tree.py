"""Folders and archives that lie, lead elsewhere or grow without end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lungzoo.data import source_tree
from lungzoo.data.source_tree import READ_ERRORS, open_tree
from lungzoo.errors import DatasetError, StorageError

FILES = {"a/one.txt": b"one", "a/b/two.bin": bytes(range(256)) * 20, "three": b""}
KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def make_zip(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type, info.external_attr = name, method, 0o644 << 16
            archive.writestr(info, content)
    return path


def make_tar(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]], packing: str = "") -> Path:
    with tarfile.open(path, f"w:{packing}") as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make(tmp_path: Path, kind: str, files: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    path = tmp_path / f"source.{kind}"
    return make_zip(path, files) if kind == "zip" else make_tar(path, files, kind.partition(".")[2])


def add_member(path: Path, kind: bytes, name: str = "x", target: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return path


def refused(source: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        open_tree(source, "a layout")
    return str(caught.value)


class TestReading:
    @pytest.fixture(params=["folder", *KINDS])
    def source(self, request, tmp_path: Path) -> Path:
        if request.param != "folder":
            return make(tmp_path, request.param, FILES)
        for name, content in FILES.items():
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "source"

    def test_names_and_content(self, source):
        tree = open_tree(source, "a layout")
        assert {name: tree.read(name) for name in tree.names()} == FILES
        assert sorted(tree.names()) == sorted(FILES)

    def test_copy(self, source, monkeypatch):
        monkeypatch.setattr(source_tree, "_CHUNK_BYTES", 1000)
        tree = open_tree(source, "a layout")
        for name, content in FILES.items():
            target = io.BytesIO()
            tree.copy(name, target)
            assert target.getvalue() == content

    def test_large_files_are_copied_and_not_read(self, source, monkeypatch):
        monkeypatch.setattr(source_tree, "MAX_FILE_BYTES", 100)
        tree = open_tree(source, "a layout")
        with pytest.raises(ValueError, match="is 5,120 bytes large, more than the 100 allowed"):
            tree.read("a/b/two.bin")
        assert tree.read("a/b/two.bin", 5120) == FILES["a/b/two.bin"]
        target = io.BytesIO()
        tree.copy("a/b/two.bin", target)
        assert len(target.getvalue()) == 5120

    def test_first_bytes(self, source, monkeypatch):
        monkeypatch.setattr(source_tree, "MAX_FILE_BYTES", 2)
        tree = open_tree(source, "a layout")
        assert {name: tree.head(name, 4) for name in FILES} == {name: data[:4] for name, data in FILES.items()}

    def test_several_threads(self, source):
        tree = open_tree(source, "a layout")
        names = list(FILES) * 50
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(tree.read, names)) == [FILES[name] for name in names]


@pytest.mark.parametrize("kind", KINDS)
class TestNames:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("/etc/passwd", "has an absolute path"),
            ("../up.txt", "has a path that leads upwards"),
            ("a/../../up.txt", "has a path that leads upwards"),
            ("C:/windows/x", "has an absolute path"),
            ("c:x", "has an absolute path"),
            ("a\\..\\up.txt", "has a name with a backslash"),
            ("a\x1b[2Jb", "has a name with control characters"),
            ("a\nb", "has a name with control characters"),
        ],
    )
    def test_names_that_lead_elsewhere(self, name, reason, kind, tmp_path):
        message = refused(make(tmp_path, kind, {"good.txt": b"", name: b"x"}))
        assert reason in message
        assert "nothing of the archive is read" in message
        assert message.isprintable()

    @pytest.mark.parametrize("again", ["a/one.txt", "./a/one.txt", "a//one.txt", "a/./one.txt"])
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_the_same_name_twice(self, again, kind, tmp_path):
        source = make(tmp_path, kind, [("a/one.txt", b"1"), (again, b"2")])
        assert refused(source).startswith(f"{source}: '{again}' occurs twice.")

    def test_what_macos_leaves_is_no_file(self, kind, tmp_path):
        source = make(tmp_path, kind, {"a/x": b"", "__MACOSX/a/x": b"", "a/.DS_Store": b"", "a/._x": b""})
        assert list(open_tree(source, "a layout").names()) == ["a/x"]

    def test_names_with_dots_are_fine(self, kind, tmp_path):
        names = ["..a", "a..", "a/...", "1.2.3/ä ö.txt"]
        assert list(open_tree(make(tmp_path, kind, dict.fromkeys(names, b"")), "a layout").names()) == names

    def test_an_archive_within_is_a_file(self, kind, tmp_path):
        """However deep archives nest, only the outermost is opened."""
        inner = make_zip(tmp_path / "inner.zip", {"../up.txt": b"x"}).read_bytes()
        tree = open_tree(make(tmp_path, kind, {"inner.zip": inner}), "a layout")
        assert list(tree.names()) == ["inner.zip"]
        assert tree.read("inner.zip") == inner


class TestGrowth:
    @pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
    def test_a_bomb(self, kind, tmp_path, monkeypatch):
        monkeypatch.setattr(source_tree, "FREE_BYTES", 2**20)
        source = make(tmp_path, kind, {"zeros": bytes(16 * 2**20)})
        message = refused(source)
        most = source.stat().st_size * 200 + 2**20
        assert f"unpacks to more than {most:,} bytes" in message
        assert message.endswith("If you trust it, unpack it yourself and give the folder.")

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_whole_is_bounded(self, kind, tmp_path, monkeypatch):
        monkeypatch.setattr(source_tree, "MAX_TOTAL_BYTES", 5000)
        assert "5,000 bytes in all" in refused(make(tmp_path, kind, FILES))

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_number_is_bounded(self, kind, tmp_path, monkeypatch):
        monkeypatch.setattr(source_tree, "MAX_ENTRIES", 2)
        assert "or 2 files" in refused(make(tmp_path, kind, FILES))

    def test_a_bomb_is_not_unpacked_to_the_end(self, tmp_path, monkeypatch):
        """1 GiB of zeros, 1 MiB packed: no more is written than is allowed and a chunk."""
        monkeypatch.setattr(source_tree, "FREE_BYTES", 2**20)
        monkeypatch.setattr(source_tree, "MAX_RATIO", 2)
        with gzip.open(tmp_path / "x.tar.gz", "wb", compresslevel=1) as file:
            for _ in range(256):
                file.write(bytes(4 * 2**20))
        written = []
        chunks = source_tree._chunks

        def counted(path):
            for chunk in chunks(path):
                written.append(len(chunk))
                yield chunk

        monkeypatch.setattr(source_tree, "_chunks", counted)
        assert "unpacks to more than" in refused(tmp_path / "x.tar.gz")
        assert sum(written) < 20 * 2**20

    def test_overlapping_entries(self, tmp_path):
        """Two entries that are the same bytes, as in the bombs that no ratio of one entry gives away."""
        source = make_zip(tmp_path / "x.zip", {"a": b"x" * 1000, "b": b"x" * 1000}, zipfile.ZIP_STORED)
        content = bytearray(source.read_bytes())
        second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
        struct.pack_into("<L", content, second + 42, 0)
        source.write_bytes(content)
        assert "shares its bytes with another entry" in refused(source) or "Overlapped" in refused(source)

    def test_an_entry_that_claims_less(self, tmp_path):
        """zipfile gives no more than is claimed, and then finds the checksum wrong."""
        source = make_zip(tmp_path / "x.zip", {"a": b"x" * 1000})
        content = bytearray(source.read_bytes())
        struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 10)
        source.write_bytes(content)
        with pytest.raises(READ_ERRORS):
            open_tree(source, "a layout").read("a")

    def test_a_full_disk(self, tmp_path, monkeypatch):
        class Full(io.BytesIO):
            def write(self, data: object) -> int:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(source_tree.tempfile, "TemporaryFile", Full)
        with pytest.raises(StorageError, match=r"Cannot unpack .*source\.tar\.gz in .*: No space left on device"):
            open_tree(make(tmp_path, "tar.gz", FILES), "a layout")


class TestLinksAndDevices:
    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            (tarfile.SYMTYPE, "is a link"),
            (tarfile.LNKTYPE, "is a link"),
            (tarfile.CHRTYPE, "is a device or of an unknown kind"),
            (tarfile.BLKTYPE, "is a device or of an unknown kind"),
            (tarfile.FIFOTYPE, "is a device or of an unknown kind"),
            (tarfile.GNUTYPE_SPARSE, "is a sparse file"),
        ],
    )
    def test_in_a_tar(self, kind, reason, tmp_path):
        assert f"'x' {reason}." in refused(add_member(tmp_path / "x.tar", kind, target="/etc/passwd"))

    @pytest.mark.parametrize(
        ("mode", "reason"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device"), (stat.S_IFIFO, "is a device")]
    )
    def test_in_a_zip(self, mode, reason, tmp_path):
        info = zipfile.ZipInfo("x")
        info.external_attr = (mode | 0o644) << 16
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr(info, "/etc/passwd")
        assert f"'x' {reason}." in refused(tmp_path / "x.zip")

    @pytest.mark.parametrize("target", ["/etc", "/etc/hostname", "..", "../secret.txt", "sub/../../secret.txt"])
    def test_a_link_out_of_a_folder(self, target, tmp_path):
        (tmp_path / "secret.txt").write_text("x")
        (tmp_path / "source" / "sub").mkdir(parents=True)
        (tmp_path / "source" / "link").symlink_to(target)
        message = refused(tmp_path / "source")
        assert "'link' is a link that leads out of the folder. Put the file itself there." in message

    def test_a_link_within_a_folder(self, tmp_path):
        source = tmp_path / "source"
        (source / "sub").mkdir(parents=True)
        (source / "sub" / "x").write_text("x")
        (source / "file").symlink_to("sub/x")
        (source / "again").symlink_to("sub")
        tree = open_tree(source, "a layout")
        assert {name: tree.read(name) for name in tree.names()} == {"file": b"x", "sub/x": b"x"}

    def test_a_loop_of_links(self, tmp_path):
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "up").symlink_to(".")
        assert list(open_tree(tmp_path / "source", "a layout").names()) == []

    def test_the_source_may_be_a_link(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "x").write_text("x")
        (tmp_path / "link").symlink_to("real")
        assert list(open_tree(tmp_path / "link", "a layout").names()) == ["x"]

    def test_pipes(self, tmp_path):
        (tmp_path / "source").mkdir()
        os.mkfifo(tmp_path / "source" / "pipe")
        assert "'pipe' is no regular file. Remove it." in refused(tmp_path / "source")
        assert "is neither a file nor a folder" in refused(tmp_path / "source" / "pipe")


class TestDamage:
    @pytest.mark.parametrize("kind", KINDS)
    def test_cut_off(self, kind, tmp_path):
        noise = os.urandom(20_000)
        source = make(tmp_path, kind, {"a": noise, "b": noise})
        os.truncate(source, source.stat().st_size // 2)
        assert "is not a sound" in refused(source)
        assert "a download that stopped early looks like this" in refused(source)

    @pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
    def test_damaged_packing(self, kind, tmp_path):
        source = make(tmp_path, kind, {"a": os.urandom(20_000)})
        content = bytearray(source.read_bytes())
        content[5000:5010] = bytes(10)
        source.write_bytes(content)
        name = {"tar.gz": "gzip", "tar.bz2": "bzip2", "tar.xz": "xz"}[kind]
        assert f"is not a sound tar ({name}) file" in refused(source)

    def test_a_damaged_header_does_not_hide_what_follows(self, tmp_path):
        source = make(tmp_path, "tar", {"a": b"1", "b": b"2"})
        content = bytearray(source.read_bytes())
        content[1024:1030] = b"\xff" * 6
        source.write_bytes(content)
        assert "the header at byte 1,024 is damaged" in refused(source)

    @pytest.mark.parametrize(
        ("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
    )
    def test_packed_but_no_tar(self, pack, name, tmp_path):
        (tmp_path / "x.gz").write_bytes(pack(b"no tar at all" * 100))
        assert f"is not a sound tar ({name}) file" in refused(tmp_path / "x.gz")

    def test_xz_of_several_streams(self, tmp_path):
        content = make(tmp_path, "tar", FILES).read_bytes()
        packed = lzma.compress(content[:3000]) + bytes(8) + lzma.compress(content[3000:])
        (tmp_path / "x.tar.xz").write_bytes(packed)
        assert sorted(open_tree(tmp_path / "x.tar.xz", "a layout").names()) == sorted(FILES)

    def test_xz_that_wants_much_memory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(source_tree, "_XZ_MEMORY_BYTES", 2**20)
        assert "emory" in refused(make(tmp_path, "tar.xz", FILES))

    def test_a_header_of_any_size(self, tmp_path):
        """A long name that claims 1 GiB is not read."""
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**30
        (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        assert "has a header of 1,073,741,824 bytes, more than the 1,048,576 allowed" in refused(tmp_path / "x.tar")

    def test_a_tower_of_headers(self, tmp_path):
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
        block = header.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)
        (tmp_path / "x.tar").write_bytes(block * 3000 + bytes(1024))
        assert "is not a sound tar file" in refused(tmp_path / "x.tar")

    def test_a_size_below_zero(self, tmp_path):
        header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" * 11 + b"\x00"
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
        (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(1024))
        assert "is not a sound tar file" in refused(tmp_path / "x.tar")

    @pytest.mark.parametrize("flip", range(0, 700, 23))
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_changed_byte_never_crashes(self, kind, flip, tmp_path):
        source = make(tmp_path, kind, {"a/one.txt": os.urandom(300)})
        content = bytearray(source.read_bytes())
        content[flip % len(content)] ^= 0xFF
        source.write_bytes(content)
        try:
            tree = open_tree(source, "a layout")
            for name in tree.names():
                tree.read(name)
        except (DatasetError, *READ_ERRORS):
            pass

    def test_encrypted(self, tmp_path):
        source = make_zip(tmp_path / "x.zip", {"a": b"x"})
        content = bytearray(source.read_bytes())
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        source.write_bytes(content)
        tree = open_tree(source, "a layout")
        for read in (lambda: tree.read("a"), lambda: tree.copy("a", io.BytesIO())):
            with pytest.raises(ValueError, match="is encrypted; unpack the archive with its password"):
                read()
