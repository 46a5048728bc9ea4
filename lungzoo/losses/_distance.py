"""The exact Euclidean signed distance of masks, on any backend, inside compiled training steps."""

from __future__ import annotations

from typing import Any


def signed_distance_px(mask: Any) -> Any:
    """Return each pixel's distance to the border between mask and rest, negative inside; no gradient passes.

    The border runs between pixels, so the nearest pixels on either side are ½ away: it is the distance to the nearest
    pixel of the other side, less ½. A channel of a case without a border (empty or full) is 0 throughout.

    Squared distances are separable (Felzenszwalb and Huttenlocher 2012, doi:10.4086/toc.2012.v008a019, section 3):
    along each axis, d²(i) = min over j of (i - j)² + d²(j). Only one side's distance is above 0 at any pixel, so one
    signed array carries both. Memory is a few times the mask's, work the mask's times the sum of its sizes.

    Args:
        mask: (B, …, F) in {0, 1}, with at most 4096 as sum of its spatial sizes.

    Returns:
        (B, …, F) float32, in pixels.
    """
    from keras import ops

    mask = ops.stop_gradient(ops.cast(mask, "float32"))
    axes = range(1, len(mask.shape) - 1)
    side = 1 - 2 * mask
    beyond = ops.square(ops.cast(sum(ops.shape(mask)[axis] for axis in axes), "float32"))
    squared = ops.ones_like(side) * beyond
    for axis in axes:
        squared = _nearest_along(axis, squared, side)
    distance = side * (ops.sqrt(squared) - 0.5)
    return ops.stop_gradient(ops.where(squared < beyond, distance, ops.zeros_like(distance)))


def _nearest_along(axis: int, squared: Any, side: Any) -> Any:
    """Return the squared distances after pixels may also go along `axis` to reach the other side."""
    from keras import ops

    length = ops.shape(squared)[axis]
    positions = ops.reshape(ops.arange(length, dtype="float32"), (-1, *(1,) * (len(squared.shape) - axis - 1)))
    signed = side * squared

    def through(source: Any, nearest: Any) -> Any:
        # A source pixel on the other side is reached at no further cost: there the product is negative.
        onwards = ops.relu(side * ops.take(signed, ops.reshape(source, (1,)), axis))
        return ops.minimum(nearest, onwards + ops.square(positions - ops.cast(source, "float32")))

    return ops.fori_loop(0, length, through, squared)
