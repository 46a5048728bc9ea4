"""What one case takes from another, and what is erased: image and mask together."""

from __future__ import annotations

from typing import Any

from lungzoo.data.augment.intensity import per_case


def mix_up(image: Any, other: Any, weight: Any) -> Any:
    """Blend in another case's image.

    Mix-up also blends the targets; a mask blended so and cut at one half is the heavier case's. With weights up to one
    half the mask therefore stays as it is, and all losses take it.

    Args:
        image, other: float (B, slices, H, W).
        weight: float (B,) in [0, 0.5], the share of the other.

    Source: Zhang et al. 2018, arXiv:1710.09412; Inoue 2018, arXiv:1801.02929 (the first case's target for both).
    """
    return image + (other - image) * per_case(weight, image)


def paste_lesion(image: Any, mask: Any, other: Any, other_mask: Any, brightest: float) -> tuple[Any, Any]:
    """Put another case's lesion over the image, where the image is lung.

    Args:
        image, other: float (B, slices, H, W).
        mask, other_mask: uint8 (B, mask slices, H, W) in {0, 1}; one mask slice stands for all slices of the image.
        brightest: of lung. The lesion is not pasted where the image under it is brighter than this on average: it would
            lie in the chest wall. Nor is it where some of it would lie outside the body: where fewer than three of the
            four ways along row and column meet anything brighter.

    Returns:
        The image, and the union of the masks. The lesion's rim of one pixel is a blend of half and half.

    Source: Ghiasi et al. 2021, arXiv:2012.07177.
    """
    import tensorflow as tf

    lesion = tf.cast(other_mask, tf.float32)
    area = tf.reduce_sum(lesion, axis=[1, 2, 3])
    middle = image[:, image.shape[1] // 2, tf.newaxis] if mask.shape[1] == 1 else image
    under = tf.reduce_sum(middle * lesion, axis=[1, 2, 3]) / tf.maximum(area, 1.0)
    outside = tf.reduce_sum(lesion * (1 - _enclosed(middle, brightest)), axis=[1, 2, 3])
    lesion *= per_case(tf.cast((under <= brightest) & (outside < 0.5), tf.float32), lesion)
    opaque = tf.maximum(lesion, 0.5 * _grown(lesion))
    return image + (other - image) * opaque, tf.maximum(mask, tf.cast(lesion, mask.dtype))


def cut_out(image: Any, mask: Any, centre: Any, size: Any) -> tuple[Any, Any]:
    """Erase a rectangle: the image is its own mean there, the mask empty.

    Args:
        image: float (B, slices, H, W).
        mask: (B, mask slices, H, W).
        centre: float (B, 2), as a share of the sides.
        size: float (B, 2), as a share of the sides.

    Source: DeVries and Taylor 2017, arXiv:1708.04552; the rectangle as in Zhong et al. 2017, arXiv:1708.04896.
    """
    import tensorflow as tf

    shape = tf.shape(image)
    inside = []
    for axis in (0, 1):
        side = shape[2 + axis]
        place = (tf.range(side, dtype=tf.float32) + 0.5) / tf.cast(side, tf.float32)
        inside.append(tf.abs(place[tf.newaxis] - centre[:, axis, tf.newaxis]) < size[:, axis, tf.newaxis] / 2)
    erased = (inside[0][:, :, tf.newaxis] & inside[1][:, tf.newaxis, :])[:, tf.newaxis]
    mean = tf.reduce_mean(image, axis=[1, 2, 3], keepdims=True)
    return tf.where(erased, mean, image), tf.where(erased, tf.zeros_like(mask), mask)


def _enclosed(image: Any, brightest: float) -> Any:
    """Return 1 where three ways or more meet something brighter, else 0: air around a body has it on one side or two.

    Not on all four: in a crop, lung may reach the border.
    """
    import tensorflow as tf

    bright, ways = tf.cast(image > brightest, tf.float32), tf.zeros_like(image)
    for axis in (2, 3):
        for reverse in (False, True):
            ways += tf.cast(tf.cumsum(bright, axis, reverse=reverse) > 0, image.dtype)
    return tf.cast(ways > 2.5, tf.float32)


def _grown(mask: Any) -> Any:
    """Dilate by one pixel in each direction within the slice."""
    import tensorflow as tf

    padded = tf.pad(mask, [[0, 0], [0, 0], [1, 1], [1, 1]])
    rows = tf.maximum(tf.maximum(padded[:, :, :-2], padded[:, :, 1:-1]), padded[:, :, 2:])
    return tf.maximum(tf.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
