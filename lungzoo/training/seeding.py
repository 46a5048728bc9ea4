"""Seeds, precision and devices: what must be set before a model is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from lungzoo.config import TrainConfig


@contextmanager
def prepared(config: TrainConfig) -> Iterator[None]:
    """Seed all generators, set the precision and enter the distribution strategy; precision is put back after.

    With more than one GPU on the TensorFlow backend, models built inside train on all of them
    (`tf.distribute.MirroredStrategy`); the batch size stays the global one.
    """
    import keras

    if config.deterministic and keras.backend.backend() == "tensorflow":
        _be_deterministic()
    keras.utils.set_random_seed(config.train_seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        with strategy_scope():
            yield
    finally:
        keras.config.set_dtype_policy(before)


def strategy_scope() -> Any:
    """Return the scope of a MirroredStrategy if there is more than one GPU to mirror on, else an empty one."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return nullcontext()
    import tensorflow as tf

    if len(tf.config.list_logical_devices("GPU")) < 2:
        return nullcontext()
    return tf.distribute.MirroredStrategy().scope()


def _be_deterministic() -> None:
    """Fix the order of all additions.

    `enable_op_determinism` does so on GPUs; on CPUs gradients are still summed in the order in which parallel ones
    end, unless one runs at a time. That costs some speed, and can only be set before TensorFlow's first operation.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return  # the process has computed before; whoever did so has chosen its threads
