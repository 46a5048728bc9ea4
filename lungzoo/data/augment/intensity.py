"""Changes of grey values, image in [0, 1]; the mask stays."""

from __future__ import annotations

import math
from typing import Any


def change_intensity(image: Any, contrast: Any, brightness: Any) -> Any:
    """Scale around mid-grey, then add, then clip.

    Args:
        image: float tensor (B, …) in [0, 1].
        contrast: float tensor (B,), 1 leaves the image alone.
        brightness: float tensor (B,), 0 leaves the image alone.

    Returns:
        Float tensor like `image`, in [0, 1].
    """
    import tensorflow as tf

    contrast, brightness = per_case(contrast, image), per_case(brightness, image)
    return tf.clip_by_value((image - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0)


def change_gamma(image: Any, gamma: Any) -> Any:
    """Raise to a power: above 1 darkens.

    Args:
        image: float tensor (B, …) in [0, 1].
        gamma: float tensor (B,), above 0.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4.
    """
    import tensorflow as tf

    # Two and a half times as fast as tf.pow on a CPU; log 0 = -inf gives 0.
    return tf.exp(tf.math.log(image) * per_case(gamma, image))


def add_noise(image: Any, deviation: Any, noise: Any) -> Any:
    """Add noise of a standard deviation, then clip.

    Args:
        image: float tensor (B, …) in [0, 1].
        deviation: float tensor (B,).
        noise: standard normal numbers, like `image`.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4.
    """
    import tensorflow as tf

    return tf.clip_by_value(image + per_case(deviation, image) * noise, 0.0, 1.0)


def blur(image: Any, sigma_px: Any, largest_px: float) -> Any:
    """Blur by a Gaussian cut off at three standard deviations of the largest; the border is mirrored.

    Args:
        image: float tensor (B, slices, H, W).
        sigma_px: float tensor (B,), from 0 to `largest_px`.
        largest_px: decides the size of the kernel.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4.
    """
    import tensorflow as tf

    reach = math.ceil(3 * largest_px)
    steps = tf.range(-reach, reach + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (steps / tf.maximum(sigma_px, 1e-3)[:, tf.newaxis]) ** 2)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    for axis in (2, 3):
        side = image.shape[axis]
        padded = _mirrored(image, axis, reach)
        parts = [padded[:, :, k : k + side] if axis == 2 else padded[..., k : k + side] for k in range(2 * reach + 1)]
        image = tf.add_n([part * per_case(weights[:, k], part) for k, part in enumerate(parts)])
    return image


def lower_resolution(image: Any, factor: Any) -> Any:
    """Keep the nearest pixel of each cell of a coarser grid, and interpolate linearly back.

    Args:
        image: float tensor (B, slices, H, W).
        factor: float tensor (B,), pixels of the coarser grid are this much larger; 1 leaves the image alone.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4 (there with cubic interpolation).
    """
    import tensorflow as tf

    factor = factor[:, tf.newaxis]
    for axis in (2, 3):
        side = tf.cast(tf.shape(image)[axis], tf.float32)
        last = tf.maximum(tf.round(side / factor), 1.0) - 1
        step = side / (last + 1)
        cell = tf.clip_by_value((tf.range(side)[tf.newaxis] + 0.5) / step - 0.5, 0.0, last)
        before = tf.floor(cell)
        sides = [tf.cast((each + 0.5) * step, tf.int32) for each in (before, tf.minimum(before + 1, last))]
        first, second = (tf.gather(image, each, axis=axis, batch_dims=1) for each in sides)
        between = (cell - before)[:, tf.newaxis, :, tf.newaxis] if axis == 2 else (cell - before)[:, None, None]
        image = first + (second - first) * between
    return image


def per_case(numbers: Any, batch: Any) -> Any:
    """(B,) -> (B, 1, …), to go with a batch."""
    import tensorflow as tf

    return tf.reshape(numbers, [-1, *[1] * (len(batch.shape) - 1)])


def _mirrored(image: Any, axis: int, reach: int) -> Any:
    """Add `reach` pixels at both ends of an axis; a small image is mirrored again and again."""
    import tensorflow as tf

    while reach > 0:
        # A whole image's width at a time: the mirror image of that is what lies further out.
        width = min(reach, max(image.shape[axis] - 1, 1))
        paddings = [[width, width] if number == axis else [0, 0] for number in range(len(image.shape))]
        image = tf.pad(image, paddings, "REFLECT" if image.shape[axis] > 1 else "SYMMETRIC")
        reach -= width
    return image
