"""The crop around a marked lesion, and the changes of it that training sees."""

from __future__ import annotations

import numpy as np

from lungzoo.classifiers.contract import Lesion

MARGIN_PX = 4
"""Beyond the crop on each side, so that training can move it."""


def crop_of(lesion: Lesion, crop_px: int) -> np.ndarray:
    """Return float32 (side, side, 2), side = crop_px + 2 · MARGIN_PX: image and mask around the lesion's middle.

    The middle is that of its bounding box. Beyond the slice, its edge repeats and the mask is empty.
    """
    side = crop_px + 2 * MARGIN_PX
    rows, columns = (np.flatnonzero(lesion.mask.any(axis=axis)) for axis in (1, 0))
    corner = [int(line[0] + line[-1] + 1) // 2 - side // 2 for line in (rows, columns)]
    places = [np.arange(start, start + side) for start in corner]
    inside = [(place >= 0) & (place < length) for place, length in zip(places, lesion.mask.shape, strict=True)]
    grid = np.ix_(*(np.clip(place, 0, length - 1) for place, length in zip(places, lesion.mask.shape, strict=True)))
    mask = lesion.mask[grid] & np.outer(*inside)
    return np.stack([lesion.image[grid], mask.astype(np.float32)], axis=-1)


def middle(crops: np.ndarray) -> np.ndarray:
    """Return the crops without their margins."""
    return crops[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def changed(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the crops moved by up to `MARGIN_PX`, turned by quarters, mirrored, and a little brighter or darker."""
    side = crops.shape[1] - 2 * MARGIN_PX
    found = np.empty((len(crops), side, side, 2), np.float32)
    starts = rng.integers(0, 2 * MARGIN_PX + 1, (len(crops), 2))
    turns, mirrored = rng.integers(0, 4, len(crops)), rng.random(len(crops)) < 0.5
    shifts = rng.uniform(-0.05, 0.05, len(crops))
    for place, (row, column) in enumerate(starts):
        crop = np.rot90(crops[place, row : row + side, column : column + side], turns[place])
        found[place] = crop[:, ::-1] if mirrored[place] else crop
    found[..., 0] = np.clip(found[..., 0] + shifts[:, None, None], 0, 1)
    return found
