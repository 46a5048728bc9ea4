"""Geometry and intensity changes of a batch, on image and mask together, from numbers drawn beforehand.

Nothing here draws: the pipeline hands in uniform numbers that are a function of (seed, epoch, case), so that a
resumed run sees exactly the batches that an uninterrupted one would.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

# Columns of the table of uniform numbers, one row per case and epoch.
DRAWS = ("shift_y", "shift_x", "flip_y", "flip_x", "contrast", "brightness")


def move(batch: Any, shift_px: Any, flip: Any) -> Any:
    """Shift and mirror a batch; what comes in at the border is the mirror image of what is there.

    Args:
        batch: tensor (B, H, W), any dtype.
        shift_px: int32 (B, 2): content moves by this many pixels along y and x; |shift| < side.
        flip: bool (B, 2): mirror along y and x, after the shift.

    Returns:
        Tensor (B, H, W) of the same dtype.
    """
    import tensorflow as tf

    shape = tf.shape(batch)
    for axis in (1, 2):
        side = shape[axis]
        index = tf.range(side)[tf.newaxis, :] - shift_px[:, axis - 1, tf.newaxis]
        index = tf.abs(index)
        index = tf.where(index >= side, 2 * (side - 1) - index, index)
        index = tf.where(flip[:, axis - 1, tf.newaxis], index[:, ::-1], index)
        batch = tf.gather(batch, index, axis=axis, batch_dims=1)
    return batch


def change_intensity(image: Any, contrast: Any, brightness: Any) -> Any:
    """Scale around mid-grey, then add, then clip.

    Args:
        image: float tensor (B, H, W) in [0, 1].
        contrast: float tensor (B,), 1 leaves the image alone.
        brightness: float tensor (B,), 0 leaves the image alone.

    Returns:
        Float tensor (B, H, W) in [0, 1].
    """
    import tensorflow as tf

    contrast, brightness = contrast[:, tf.newaxis, tf.newaxis], brightness[:, tf.newaxis, tf.newaxis]
    return tf.clip_by_value((image - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0)


def fixed_shifts(cases: list[str], seed: int, shift_px: int) -> np.ndarray:
    """Return int32 (n, 2) shifts in [-shift_px, shift_px], each a function of the case's name and the seed alone."""
    shifts = np.zeros((len(cases), 2), np.int32)
    for row, case in enumerate(cases):
        digest = hashlib.sha256(f"{seed}/{case}".encode()).digest()
        for axis in range(2):
            number = int.from_bytes(digest[8 * axis : 8 * axis + 8], "big")
            shifts[row, axis] = number % (2 * shift_px + 1) - shift_px
    return shifts
