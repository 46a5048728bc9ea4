"""Tiny datasets: slices made by hand, a reader that hands them out, and a tree of PNGs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungzoo.data.case import Case, Slice
from lungzoo.data.readers import Reader
from lungzoo.data.store import PreparedDataset
from lungzoo.data.writer import import_dataset

MakeSlice = Callable[..., Slice]


class HandMadeReader(Reader):
    """A source whose slices are a list."""

    title = "Hand-made"
    licence = "CC0-1.0"
    citation = "none"
    window = "none"

    def __init__(self, slices: Sequence[Slice], units: str = "hu", mask_bits: Sequence[str] = ("truth",)) -> None:
        super().__init__(Path("hand-made"))
        self.slices = list(slices)
        self.units = units
        self.mask_bits = tuple(mask_bits)

    def __len__(self) -> int:
        return len(self.slices)

    def __iter__(self) -> Iterator[Slice]:
        for item in self.slices:
            self.done += 1
            yield item

    def preview(self) -> dict[str, Any]:
        return {"slices": len(self)}


@pytest.fixture
def hand_made_reader() -> type[HandMadeReader]:
    return HandMadeReader


@pytest.fixture
def make_slice() -> MakeSlice:
    """Make slice `z` of a patient: image filled with z, mask empty unless given."""

    def make(z: int = 0, patient: str = "A", mask: object = None, size_px: int = 6, **case: object) -> Slice:
        image = np.full((size_px, size_px), z, np.int16)
        bits = np.zeros((size_px, size_px), np.uint8) if mask is None else np.array(mask, np.uint8)
        values: dict[str, object] = {"volume": patient, "source": f"{patient}-{z}.png", **case}
        return Slice(image, bits, Case(case=f"{patient}/{z}", patient=patient, z=z, **values))

    return make


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., PreparedDataset]:
    """Import slices into a new dataset and open it."""

    def make(slices: Sequence[Slice], units: str = "hu", mask_bits: Sequence[str] = ("truth",)) -> PreparedDataset:
        dest = tmp_path / "dataset"
        import_dataset(HandMadeReader(slices, units, mask_bits), "hand-made", dest)
        return PreparedDataset(dest)

    return make


@pytest.fixture
def write_png() -> Callable[[Path, object], None]:
    def write(path: Path, pixels: object, mode: str = "L") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(pixels, np.uint8)).convert(mode).save(path)

    return write


@pytest.fixture
def lidc_tree(tmp_path: Path, write_png: Callable[[Path, object], None]) -> Path:
    """Two patients, three nodules, five slices of 8×8 pixels; slice n's image is filled with 10 n.

    Mask k is a square of 2 + k pixels a side, and on P-10/nodule-0 only reader 1 drew.
    """
    root = tmp_path / "LIDC-IDRI-slices"
    layout = {("P-9", 2): [9, 10], ("P-9", 10): [0], ("P-10", 0): [3, 4]}
    for (patient, nodule), numbers in layout.items():
        folder = root / patient / f"nodule-{nodule}"
        for n in numbers:
            write_png(folder / "images" / f"slice-{n}.png", np.full((8, 8), 10 * n))
            for reader in range(4):
                mask = np.zeros((8, 8))
                if patient == "P-9" or reader == 1:
                    mask[: 2 + reader, : 2 + reader] = 255
                write_png(folder / f"mask-{reader}" / f"slice-{n}.png", mask)
    (root / "metadata.csv").write_text(
        "patient,nodule,slices,malignancy,mal_median,diameter_mm,texture_median,pixel_spacing_mm,slice_thickness_mm\n"
        "P-9,2,2,5|4,4.5,12.5,5.0,0.7,2.5\n"
        "P-9,10,1,2|2,2.0,6.0,4.5,0.7,2.5\n"
        "P-10,0,2,,,,,,\n"
    )
    return root


@pytest.fixture
def dataset(store: Callable[..., PreparedDataset], make_slice: MakeSlice) -> PreparedDataset:
    """Ten slices of 8×8 whose lesion is where the image is bright."""
    slices = []
    for z in range(10):
        mask = np.zeros((8, 8), np.uint8)
        mask[2:5, 2 + z % 3 : 5 + z % 3] = 1
        item = make_slice(z, mask=mask, size_px=8)
        item.image[:] = np.where(mask, 150, -1350 + 10 * z)
        slices.append(item)
    return store(slices)


@pytest.fixture
def patterned(store: Callable[..., PreparedDataset]) -> Callable[[str], PreparedDataset]:
    """Ten slices of 16×12 without any symmetry."""

    def make(units: str) -> PreparedDataset:
        y, x = np.mgrid[:16, :12]
        slices = []
        for n in range(10):
            hu, grey = (97 * y * x + 31 * n + 11 * x) % 1700 - 1400, (37 * y + 91 * x + 53 * n) % 256
            image = grey.astype(np.uint8) if units == "uint8" else hu.astype(np.int16)
            mask = ((y - 8) ** 2 + (x - 4 - n % 3) ** 2 < 9).astype(np.uint8)
            slices.append(Slice(image, mask, Case(f"c{n}", patient=f"p{n // 3}", volume=f"v{n // 5}", z=n)))
        return store(slices, units)

    return make
