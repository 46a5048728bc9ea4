"""Stateless random numbers for every case of an epoch."""

from __future__ import annotations

from typing import Any

from lungzoo.data.augment.warp import CONTROL_POINTS

# Columns of the table behind shifts, mirrors and contrast. Recorded results rest on how it is drawn.
BASE = ("shift_y", "shift_x", "flip_y", "flip_x", "contrast", "brightness")

# Every operation has a stream of its own, with this number and these columns: adding one leaves the others' numbers as
# they are. A number is never used again.
STREAMS: dict[str, tuple[int, tuple[str, ...]]] = {
    "warp": (0, ("active", "rotate", "scale")),
    "elastic": (1, ("which",)),
    "gamma": (2, ("active", "value")),
    "noise": (3, ("active", "value")),
    "blur": (4, ("active", "value")),
    "low_resolution": (5, ("active", "value")),
    "cutout": (6, ("active", "y", "x", "height", "width")),
    "mixup": (7, ("active", "partner", "weight")),
    "copy_paste": (8, ("active", "partner", "y", "x")),
    "foreground": (9, ("active", "partner")),
    "noise_field": (10, ("start",)),
}
_MOST_STREAMS = 64
BENDS = 4096
NOISE_POOL = 2**22
_GOLDEN = 0.6180339887


def base_table(cases: int, seed: int, epoch: Any) -> Any:
    """Return float32 (cases, 6) in [0, 1), columns as in `BASE`."""
    import tensorflow as tf

    return tf.random.stateless_uniform((cases, len(BASE)), seed=tf.stack([seed, 2 * epoch + 1]))


def table(stream: str, cases: int, seed: int, epoch: Any) -> Any:
    """Return float32 (cases, columns) in [0, 1), columns as in `STREAMS`."""
    import tensorflow as tf

    number, columns = STREAMS[stream]
    return tf.random.stateless_uniform((cases, len(columns)), seed=_seed(number, seed, epoch))


def noise_pool(seed: int) -> Any:
    """Return float32 (2²²,) of standard normal numbers, to cut fields from.

    Drawing a field anew for every case would take ten times as long as all else that noise needs.
    """
    import tensorflow as tf

    return tf.random.stateless_normal((NOISE_POOL,), seed=[-1 - seed, -2])


def noise_field(pool: Any, start: Any, shape: tuple[int, int, int]) -> Any:
    """Return float32 (slices, H, W): for every slice numbers that follow each other in the pool.

    Args:
        pool: float32 (n,); of a slice with more than n / 2 pixels numbers repeat.
        start: float32 in [0, 1): where the first slice's numbers start.
        shape: slices, H, W.
    """
    import tensorflow as tf

    slices, height, width = shape
    length = height * width
    copies = max(-(-2 * length // pool.shape[0]), 1)
    pool = tf.tile(pool, [copies]) if copies > 1 else pool
    starts = pool.shape[0] - length
    first = tf.cast(start * starts, tf.int32)
    # Steps of the golden section keep the slices of a stack apart.
    places = tf.stack([(first + round(number * _GOLDEN % 1 * starts)) % starts for number in range(slices)])
    # Not tf.slice: a compiled one takes its place for a constant, and would be compiled anew for every batch.
    found = tf.gather(pool, places[:, tf.newaxis] + tf.range(length))
    return tf.reshape(found, (slices, height, width))


def bends(seed: int) -> Any:
    """Return float32 (4096, 2, 7, 7) in [-1, 1): control points of smooth fields along y and x, to choose from.

    Drawing them anew for every case would take longer than the bending.
    """
    import tensorflow as tf

    shape = (BENDS, 2, CONTROL_POINTS, CONTROL_POINTS)
    return tf.random.stateless_uniform(shape, seed=[-1 - seed, -1], minval=-1.0)


def _seed(number: int, seed: int, epoch: Any) -> Any:
    """Seeds from 0 are taken by the order of the cases and by `base_table`, so these are negative."""
    import tensorflow as tf

    return tf.stack([tf.constant(-1 - seed, tf.int32), tf.cast(epoch, tf.int32) * _MOST_STREAMS + number])
