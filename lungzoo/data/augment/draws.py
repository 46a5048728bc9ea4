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
}
_MOST_STREAMS = 64
BENDS = 4096


def base_table(cases: int, seed: int, epoch: Any) -> Any:
    """Return float32 (cases, 6) in [0, 1), columns as in `BASE`."""
    import tensorflow as tf

    return tf.random.stateless_uniform((cases, len(BASE)), seed=tf.stack([seed, 2 * epoch + 1]))


def table(stream: str, cases: int, seed: int, epoch: Any) -> Any:
    """Return float32 (cases, columns) in [0, 1), columns as in `STREAMS`."""
    import tensorflow as tf

    number, columns = STREAMS[stream]
    return tf.random.stateless_uniform((cases, len(columns)), seed=_seed(number, seed, epoch))


def field_seeds(stream: str, cases: int, seed: int, epoch: Any) -> Any:
    """Return int32 (cases, 2): a seed for each case's own field of numbers, see `fields`."""
    import tensorflow as tf

    limits = {"minval": None, "maxval": None, "dtype": tf.int32}
    key = tf.random.stateless_uniform((), seed=_seed(STREAMS[stream][0], seed, epoch), **limits)
    return tf.stack([tf.range(cases, dtype=tf.int32), tf.fill([cases], key)], axis=1)


def normal_fields(seeds: Any, shape: Any) -> Any:
    """Return float32 (B, *shape) of standard normal numbers, one field per seed."""
    import tensorflow as tf

    return tf.map_fn(lambda seed: tf.random.stateless_normal(shape, seed), seeds, fn_output_signature=tf.float32)


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
