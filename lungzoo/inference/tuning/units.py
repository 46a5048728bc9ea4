"""Held-out cases as scans that are predicted one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lungzoo.data.augment.move import fixed_shifts, move
from lungzoo.data.pipeline import neighbours
from lungzoo.inference.inputs.dataset import read_volume
from lungzoo.inference.tuning.held_out import HeldOut
from lungzoo.inference.volume import Units, Volume


@dataclass(frozen=True)
class Unit:
    """A scan with the cases of it that are scored.

    Args:
        volume: the scan.
        places: index in `volume.image` of each case.
        references: bool (cases, H, W).
        numbers: place of each case in `HeldOut.rows`.
    """

    volume: Volume
    places: np.ndarray
    references: np.ndarray
    numbers: np.ndarray


def by_volume(held: HeldOut) -> bool:
    """Tell whether the cases are scored as parts of whole volumes, and else each slice by itself.

    Slices whose place in a patient is unknown make no volume, and neither do slices that scoring shifts apart.
    """
    volumes = set(held.dataset.cases["volume"].astype(str).iloc[held.rows])
    return not held.score.shift_px and volumes <= set(held.dataset.volumes)


def units(held: HeldOut, slices: int) -> Iterator[Unit]:
    """Yield the scans of held-out cases; no image or mask of another part is read.

    Args:
        held: the cases.
        slices: how many neighbouring slices the models look at.
    """
    return _volumes(held) if by_volume(held) else _slices(held, slices)


def count_units(held: HeldOut) -> int:
    """Return how many `units` yields."""
    return held.dataset.cases["volume"].iloc[held.rows].nunique() if by_volume(held) else len(held.rows)


def _volumes(held: HeldOut) -> Iterator[Unit]:
    cases = held.dataset.cases
    names, z = cases["volume"].to_numpy(str), cases["z"].to_numpy(int)
    for name in dict.fromkeys(names[held.rows]):
        numbers = np.flatnonzero(names[held.rows] == name)
        rows = held.rows[numbers]
        volume = read_volume(held.dataset, name)
        places = np.searchsorted(np.sort(z[names == name]), z[rows])
        yield Unit(volume, places, _references(held, rows), numbers)


def _slices(held: HeldOut, slices: int) -> Iterator[Unit]:
    """Yield each case with its neighbours, moved as scoring moves it."""
    cases, dataset = held.dataset.cases, held.dataset
    stacks = neighbours(cases["volume"], cases["z"], slices)
    z = cases["z"].to_numpy(int)
    spacings = cases[["spacing_z_mm", "spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
    shifts = fixed_shifts(cases["case"].iloc[held.rows].tolist(), held.data.split_seed, held.score.shift_px)
    kind: Units = "hu" if dataset.units == "hu" else "uint8"
    for number, row in enumerate(held.rows.tolist()):
        rows = np.unique(stacks[row])
        rows = rows[np.argsort(z[rows], kind="stable")]
        image = _moved(np.asarray(dataset.images[rows]), shifts[number])
        depths = z[rows] - z[rows[0]]
        z_mm, y_mm, x_mm = spacings[row].tolist()
        shape = (int(depths[-1]) + 1, image.shape[1], image.shape[2])
        volume = Volume(image, kind, depths, shape, (z_mm, y_mm, x_mm))
        reference = _moved(_references(held, np.array([row])), shifts[number])
        yield Unit(volume, np.flatnonzero(rows == row), reference, np.array([number]))


def _references(held: HeldOut, rows: np.ndarray) -> np.ndarray:
    return held.dataset.consensus(rows, held.data.consensus_readers) > 0


def _moved(planes: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Move (slices, H, W) together."""
    if not shift_px.any():
        return planes
    import tensorflow as tf

    moved = move(tf.constant(planes[None]), tf.constant(shift_px[None]), tf.zeros((1, 2), tf.bool))
    return np.asarray(moved)[0]
