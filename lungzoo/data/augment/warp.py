"""Rotation, scaling and smooth bending in one warp: every pixel of the result is looked up once in the source."""

from __future__ import annotations

from typing import Any

import numpy as np

# Cells of the control grid along an axis. Cubic B-splines do not fold while control points move by less than 0.48 of
# their distance (Choi and Lee 2000, doi:10.1006/gmod.2000.0531), here 0.12 of the side; the config allows 0.1.
_CELLS = 4
CONTROL_POINTS = _CELLS + 3


def source_grid(
    shape_yx: tuple[Any, Any], shift_px: Any, flip: Any, rotate_deg: Any, scale: Any, bend_px: Any = None
) -> tuple[Any, Any]:
    """Return where every pixel of the result lies in the source.

    The content is scaled and turned about the image's centre, then shifted, then mirrored, as `move` does.

    Args:
        shape_yx: height and width.
        shift_px: (B, 2): the content moves by this much along y and x.
        flip: bool (B, 2): mirror along y and x.
        rotate_deg: float (B,), anticlockwise as displayed.
        scale: float (B,), above 1 the content grows.
        bend_px: float (B, 2, 7, 7) displacements of control points of a cubic B-spline; None bends nothing.

    Returns:
        y and x, float32 (B, H, W), in pixels of the source; may lie outside it.

    Source: Rueckert et al. 1999, doi:10.1109/42.796284 (free-form deformation by B-splines).
    """
    import tensorflow as tf

    angle = rotate_deg * (np.pi / 180)
    cos, sin = (tf.cast(part / scale, tf.float32)[:, tf.newaxis, tf.newaxis] for part in (tf.cos(angle), tf.sin(angle)))
    centre = [(tf.cast(side, tf.float32) - 1) / 2 for side in shape_yx]
    offsets = []
    for axis, side in enumerate(shape_yx):
        along = (tf.range(side, dtype=tf.float32) - centre[axis])[tf.newaxis]
        along = tf.where(flip[:, axis, tf.newaxis], -along, along)
        offsets.append(along - tf.cast(shift_px, tf.float32)[:, axis, tf.newaxis])
    dy, dx = offsets[0][:, :, tf.newaxis], offsets[1][:, tf.newaxis, :]
    y, x = (cos * dy + centre[0]) + sin * dx, (-sin * dy + centre[1]) + cos * dx
    if bend_px is not None:
        basis_y, basis_x = (_spline_basis(side) for side in shape_yx)
        bend = tf.matmul(basis_y, tf.matmul(bend_px, basis_x, transpose_b=True))
        y, x = y + bend[:, 0], x + bend[:, 1]
    return y, x


def sample(image: Any, mask: Any, y: Any, x: Any) -> tuple[Any, Any]:
    """Look up an image bilinearly and its mask at the nearest pixel; beyond the border lies the mirror image.

    Args:
        image: float32 (B, slices, H, W).
        mask: (B, mask slices, H, W), any dtype.
        y, x: float32 (B, H, W), in pixels; the same for all slices.

    Returns:
        The two, of the size of the grid.
    """
    import tensorflow as tf

    shape = tf.shape(image)
    (y0, y1, fy), (x0, x1, fx) = _neighbours(y, shape[2]), _neighbours(x, shape[3])
    top, bottom = y0 * shape[3], y1 * shape[3]
    nearest = tf.where(fy < 0.5, top, bottom) + tf.where(fx < 0.5, x0, x1)
    corners = [_look_up(image, place) for place in (top + x0, top + x1, bottom + x0, bottom + x1)]
    fy, fx = fy[:, tf.newaxis], fx[:, tf.newaxis]
    upper = corners[0] + (corners[1] - corners[0]) * fx
    lower = corners[2] + (corners[3] - corners[2]) * fx
    return upper + (lower - upper) * fy, _look_up(mask, nearest)


def _neighbours(place: Any, side: Any) -> tuple[Any, Any, Any]:
    """Return the two pixels around each place along an axis, mirrored into the image, and how far it is between."""
    import tensorflow as tf

    period = 2 * (tf.cast(side, tf.float32) - 1)
    place = tf.abs(place)
    place = place - period * tf.floor(place / period)
    place = tf.minimum(place, period - place)
    first = tf.floor(place)
    lower = tf.cast(first, tf.int32)
    return lower, tf.minimum(lower + 1, side - 1), place - first


def _look_up(batch: Any, places: Any) -> Any:
    """(B, slices, H, W) at places (B, h, w) within H·W -> (B, slices, h, w)."""
    import tensorflow as tf

    shape, size = tf.shape(batch), tf.shape(places)
    slices = batch.shape[1]
    planes = tf.reshape(tf.range(shape[0] * slices), [-1, slices, 1, 1]) * (shape[2] * shape[3])
    found = tf.gather(tf.reshape(batch, [-1]), tf.reshape(places[:, tf.newaxis] + planes, [-1]))
    return tf.reshape(found, [-1, slices, size[1], size[2]])


def _spline_basis(side: Any) -> Any:
    """Return (side, 7): weights of the control points at each pixel; every row sums to 1."""
    import tensorflow as tf

    at = tf.range(side, dtype=tf.float32) / tf.cast(side, tf.float32) * _CELLS
    points = tf.range(CONTROL_POINTS, dtype=tf.float32) - 1
    distance = tf.abs(at[:, tf.newaxis] - points[tf.newaxis])
    near = (4 - 6 * distance**2 + 3 * distance**3) / 6
    far = tf.maximum(2 - distance, 0.0) ** 3 / 6
    return tf.where(distance < 1, near, far)
