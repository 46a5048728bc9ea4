"""Slices that were predicted one by one, put together again as volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.evaluation.curves import CANDIDATE_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class _Slice:
    """What of a slice is not background: flat places with their values."""

    z: int
    likely: np.ndarray
    probability: np.ndarray
    reference: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Scan:
    """Neighbouring slices of one volume: all of them, or those that the dataset has.

    Args:
        volume, patient: its names.
        probability: float32 (D, H, W); 0 where it is below `CANDIDATE_PROBABILITY`.
        reference, mask: bool (D, H, W).
        spacing_mm: (z, y, x); NaN where unknown.
    """

    volume: str
    patient: str
    probability: np.ndarray
    reference: np.ndarray
    mask: np.ndarray
    spacing_mm: tuple[float, ...]


@dataclass
class Scans:
    """Collects slices, keeping their lesions and likely pixels alone; a volume is dense only while it is scored."""

    _slices: dict[str, list[_Slice]] = field(default_factory=dict)
    _patients: dict[str, str] = field(default_factory=dict)
    _spacings: dict[str, tuple[float, ...]] = field(default_factory=dict)
    _shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, cases: pd.DataFrame, probabilities: np.ndarray, references: np.ndarray, masks: np.ndarray) -> None:
        """Take in slices.

        Args:
            cases: rows of the case table, in the order of the arrays.
            probabilities: float32 (n, H, W).
            references, masks: bool (n, H, W).
        """
        spacings = cases[["spacing_z_mm", "spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
        identities = zip(
            cases["volume"].astype(str), cases["patient"].astype(str), cases["z"].to_numpy(int), strict=True
        )
        for place, (volume, patient, z) in enumerate(identities):
            flat, likely = probabilities[place].ravel(), np.flatnonzero(probabilities[place] >= CANDIDATE_PROBABILITY)
            reference, predicted = np.flatnonzero(references[place]), np.flatnonzero(masks[place])
            self._slices.setdefault(volume, []).append(_Slice(int(z), likely, flat[likely], reference, predicted))
            self._patients[volume], self._shapes[volume] = patient, probabilities.shape[1:]
            self._spacings[volume] = tuple(spacings[place].tolist())

    def __iter__(self) -> Iterator[Scan]:
        """Yield the volumes all of whose slices, two or more, follow one another without a gap."""
        for volume, slices in self._slices.items():
            slices.sort(key=lambda each: each.z)
            steps = np.diff([each.z for each in slices])
            if len(slices) > 1 and (steps == 1).all():
                yield self._dense(volume, slices)

    def _dense(self, volume: str, slices: list[_Slice]) -> Scan:
        size = int(np.prod(self._shapes[volume]))
        probability = np.zeros((len(slices), size), np.float32)
        reference, mask = np.zeros((2, len(slices), size), bool)
        for place, each in enumerate(slices):
            probability[place, each.likely] = each.probability
            reference[place, each.reference] = True
            mask[place, each.predicted] = True
        shape = (len(slices), *self._shapes[volume])
        return Scan(
            volume,
            self._patients[volume],
            probability.reshape(shape),
            reference.reshape(shape),
            mask.reshape(shape),
            self._spacings[volume],
        )
