"""How much memory does reading a volume take, and does it grow from volume to volume?

Writes volumes of several kinds, reads each in a process of its own, and prints by how much memory grew at most, next to
the size of the volume as it is returned. Then one process reads written series one after the other, and what it holds
during the last third of them is compared with what it held during the first:

    python benchmarks/robustness/memory.py --slices 200 --series 30
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

SIDE_PX = 512
ALLOWED = 2.2  # times the volume
ALLOWED_GROWTH_MIB = 16.0
Kind = tuple[Callable[[Path, int], None], Callable[[Path], int]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=200, help="of each volume")
    parser.add_argument("--series", type=int, default=30, help="to read one after the other")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS])
    parser.add_argument("--read", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(measure(arguments.read[0], Path(arguments.read[1]))))
        return 0
    bad = False
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder:
            KINDS[kind][0](Path(folder), arguments.slices)
            volume, grown = _in_a_process(kind, Path(folder))
        bad |= grown > ALLOWED * volume
        print(f"{kind:20} {volume / 2**20:6.0f} MiB returned, {grown / 2**20:6.0f} MiB at most: {grown / volume:.2f}")
    if arguments.series:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(arguments.series):
                write_series(Path(folder) / f"{number:03}", 40)
            held, _ = _in_a_process("stream", Path(folder))
        bad |= held > ALLOWED_GROWTH_MIB * 2**20
        print(f"{arguments.series} series in a row: {held / 2**20:+.1f} MiB held from the first third to the last")
    return bad


def measure(kind: str, folder: Path) -> tuple[int, int]:
    """Return bytes of the volume, and by how many bytes the process grew at most while it was read."""
    with tempfile.TemporaryDirectory() as small:
        write, read = KINDS.get(kind, (write_series, read_series))
        write(Path(small), 3)
        read(Path(small))  # what is imported and cached does not count
    if kind == "stream":
        return _held(folder), 0
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    volume = read(folder)
    return volume, _memory("VmHWM") - before


def _held(folder: Path) -> int:
    """Return by how many bytes the process grew from the first third of the series of a source to the last."""
    from lungzoo.data.readers.dicom_seg import DicomSegReader

    held = [_memory("VmRSS") for item in DicomSegReader(folder) if item.case.z == 0]
    # A volume more or less is held at any moment, so the highest of each end is compared.
    return max(held[-len(held) // 3 :]) - max(held[: len(held) // 3])


def _in_a_process(kind: str, folder: Path) -> tuple[int, int]:
    command = [sys.executable, __file__, "--read", kind, str(folder)]
    first, second = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return first, second


def _memory(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def _hu(slices: int) -> np.ndarray:
    """Return (Z, Y, X) int16: noise that does not compress, with a circle of padding about it."""
    hu = np.random.default_rng(0).integers(-900, 1000, (slices, SIDE_PX, SIDE_PX), np.int16)
    y, x = np.ogrid[:SIDE_PX, :SIDE_PX]
    hu[:, (y - SIDE_PX / 2) ** 2 + (x - SIDE_PX / 2) ** 2 > SIDE_PX**2 / 4] = -1000
    return hu


def write_series(folder: Path, slices: int, compress: bool = False) -> None:
    """Write a CT series of single files, 12 bits with padding, and a segmentation of it."""
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    write, patient = _writer(), folder.name
    heights = [2.0 * z for z in range(slices)]
    for z, image in enumerate(_hu(slices)):
        dataset = write.ct_slice(image.astype(np.int32), heights[z], patient)
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.add_new("PixelPaddingValue", "US", 0)
        path = write.save(dataset, folder / f"{z:04}.dcm", ExplicitVRLittleEndian)
        if compress:
            dataset.compress(RLELossless, generate_instance_uid=False)
            write.save(dataset, path, RLELossless)
    mask = np.zeros((slices, SIDE_PX, SIDE_PX), np.uint8)
    mask[0, :9, :9] = 1
    write.save(write.segmentation({"Nodule": mask}, heights, patient), folder / "seg.dcm")


def write_packed_series(folder: Path, slices: int) -> None:
    write_series(folder, slices, compress=True)


def write_enhanced(folder: Path, slices: int, bits: int = 12) -> None:
    """Write a multi-frame CT, of 12 bits with padding."""
    write = _writer()
    dataset = write.enhanced_ct(_hu(slices), [2.0 * z for z in range(slices)])
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.add_new("PixelPaddingValue", "US", 0)
    write.save(dataset, folder / "ct.dcm")


def read_series(folder: Path) -> int:
    from lungzoo.data.dicom import series
    from lungzoo.data.dicom.listing import list_files
    from lungzoo.data.source_tree import open_tree

    tree = open_tree(folder, "a folder")
    (files,) = list_files(tree).ct()[0].values()
    return series.read_series(tree, files).image.nbytes


def nifti(dtype: str, fractions: bool = False, pack: bool = False) -> Callable[[Path, int], None]:
    """Return what writes a NIfTI volume of a type."""

    def write(folder: Path, slices: int) -> None:
        import nibabel

        hu = _hu(slices).transpose(2, 1, 0).astype(dtype)
        data = nibabel.Nifti1Image(
            hu + hu.dtype.type(0.25) if fractions else hu, np.diag([-0.5, -0.5, 2, 1])
        ).to_bytes()
        (folder / "a.nii").write_bytes(gzip.compress(data, 1) if pack else data)

    return write


def read_nifti(folder: Path) -> int:
    from lungzoo.data.files.nifti import read_nifti
    from lungzoo.data.files.volume import turn

    with (folder / "a.nii").open("rb") as file:
        return turn("a", read_nifti(file), None).image.nbytes


def write_metaimage(folder: Path, slices: int) -> None:
    (folder / "a.raw").write_bytes(_hu(slices).tobytes())
    (folder / "a.mhd").write_text(
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = {SIDE_PX} {SIDE_PX} {slices}\n"
        "ElementType = MET_SHORT\nElementDataFile = a.raw\n"
    )


def read_metaimage(folder: Path) -> int:
    from lungzoo.data.files.metaimage import read_metaimage
    from lungzoo.data.files.volume import turn

    return turn("a", read_metaimage(folder / "a.mhd"), None).image.nbytes


def _writer() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tests" / "data" / "dicom" / "writer.py"
    spec = importlib.util.spec_from_file_location("dicom_writer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KINDS: dict[str, Kind] = {
    "dicom": (write_series, read_series),
    "dicom rle": (write_packed_series, read_series),
    "dicom enhanced": (write_enhanced, read_series),
    "nifti int16": (nifti("<i2"), read_nifti),
    "nifti int16 gz": (nifti("<i2", pack=True), read_nifti),
    "nifti float32": (nifti("<f4"), read_nifti),
    "nifti float64": (nifti("<f8"), read_nifti),
    "nifti fractions": (nifti("<f4", fractions=True), read_nifti),
    "metaimage": (write_metaimage, read_metaimage),
}


if __name__ == "__main__":
    sys.exit(main())
