"""A synthetic chest-CT dataset in HU, made from a seed: for trying things out and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lungzoo.config import PhantomConfig
from lungzoo.data.case import Case, Slice
from lungzoo.data.phantom.anatomy import Chest, add_noise, draw_chest
from lungzoo.data.phantom.grid import Grid
from lungzoo.data.phantom.nodules import (
    NO_NODULE,
    TYPES,
    Nodule,
    draw_diameter_mm,
    draw_nodule,
    place_nodule,
)
from lungzoo.data.readers import Reader

# One patient in this many has no nodule; coprime with the number of types, so that none of them is rarer.
HEALTHY_EVERY = 11


class PhantomReader(Reader):
    """Makes the slices of a synthetic dataset; the same config gives the same bits.

    Each patient is a stack of consecutive slices, 2.5 mm apart (more for under 12 slices, so that the stack
    is 30 mm tall), over a 340 mm field of view, with one to three nodules of 4 to 35 mm in the lungs: solid,
    part-solid, ground-glass, spiculated or wall-attached. At least a quarter of a patient's slices have no
    nodule, and neither has every eleventh patient.

    The label is the class of the largest nodule that the slice cuts, "LR1" where it cuts none. It follows
    Lung-RADS by type and diameter of the whole nodule, in mm:

        type           LR2    LR3       LR4A       LR4B
        solid          < 6    6 to 8    8 to 15    from 15
        part-solid     < 6    6 to 12   12 to 16   from 16   (its solid core has half the diameter)
        ground-glass   < 30   from 30   -          -
        spiculated     -      < 6       6 to 8     from 8
        pleural        < 10   -         10 to 15   from 15

    Extra columns: `nodule_type` ("none" without one) and `diameter_mm` (0.0 without one).

    Args:
        config: patients, slices per patient, size in pixels and seed.
    """

    revision = 1
    """Raise it when a change alters the slices that an unchanged config gives."""
    title = "Synthetic chest-CT phantom"
    licence = "CC0-1.0"
    citation = "Computed by lungzoo; no patient's data is in it."
    units: Literal["hu", "uint8"] = "hu"
    window = "none: HU"
    mask_bits: tuple[str, ...] = ("truth",)

    def __init__(self, config: PhantomConfig) -> None:
        super().__init__(Path("phantom"))
        self.config = config
        self._grid = Grid.make(config.slices_per_patient, config.size_px)

    def __len__(self) -> int:
        return self.config.patients * self.config.slices_per_patient

    def __iter__(self) -> Iterator[Slice]:
        for patient in range(self.config.patients):
            for item in self.patient(patient):
                self.done += 1
                yield item

    def preview(self) -> dict[str, Any]:
        """See `Reader.preview`."""
        return {"patients": self.config.patients, "slices": len(self)}

    def patient(self, index: int) -> list[Slice]:
        """Return the slices of one patient, `index` from 0; no other patient needs to be made first."""
        rng = np.random.default_rng([self.config.seed, index])
        chest = draw_chest(self._grid, rng)
        hu = chest.hu
        nodules = [] if index % HEALTHY_EVERY == HEALTHY_EVERY - 1 else self._place(index, chest, rng)
        truths = [draw_nodule(hu, self._grid, chest, nodule, rng) for nodule in nodules]
        images = add_noise(hu, chest.body_mm, rng)
        return [self._slice(index, z, images[z], nodules, [truth[z] for truth in truths]) for z in range(len(hu))]

    def _place(self, index: int, chest: Chest, rng: np.random.Generator) -> list[Nodule]:
        nodules: list[Nodule] = []
        free_top = bool(rng.random() < 0.5)
        for number in range(1 + rng.binomial(2, 0.25)):
            kind = TYPES[index % len(TYPES)] if number == 0 else str(rng.choice(TYPES))
            nodule = place_nodule(self._grid, chest, kind, draw_diameter_mm(rng), nodules, free_top, rng)
            if nodule:
                nodules.append(nodule)
        return nodules

    def _slice(self, index: int, z: int, image: np.ndarray, nodules: list[Nodule], truths: list[np.ndarray]) -> Slice:
        cut = [nodule for nodule, truth in zip(nodules, truths, strict=True) if truth.any()]
        largest = max(cut, key=lambda nodule: nodule.diameter_mm, default=None)
        mask = np.zeros(image.shape, np.uint8)
        for truth in truths:
            mask[truth] = 1
        patient = f"PHANTOM-{index + 1:04d}"
        case = Case(
            case=f"{patient}/slice-{z}",
            patient=patient,
            volume=patient,
            z=z,
            spacing_mm=(self._grid.slice_mm, self._grid.pixel_mm, self._grid.pixel_mm),
            label=largest.label if largest else NO_NODULE,
            source="phantom",
            extra={
                "nodule_type": largest.kind if largest else "none",
                "diameter_mm": largest.diameter_mm if largest else 0.0,
            },
        )
        return Slice(image, mask, case)
