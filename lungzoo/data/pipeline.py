"""The one input pipeline: prepared dataset in, batches of (image, mask) out, for every model and backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.augment import DRAWS, change_intensity, fixed_shifts, move
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError


class Pipeline:
    """Batches of one dataset under one data config.

    Images are float32 (B, H, W, 1) in [0, 1]; masks are float32 (B, H, W, 1) in {0, 1}.

    Args:
        dataset: the opened dataset.
        config: HU window and consensus rule.
        batch_size: cases per batch.
    """

    def __init__(self, dataset: PreparedDataset, config: DataConfig, batch_size: int) -> None:
        self._dataset = dataset
        self._config = config
        self._batch_size = batch_size

    def steps_per_epoch(self, rows: np.ndarray) -> int:
        """Return the number of full training batches of an epoch (at least one)."""
        return max(len(rows) // self._batch_size, 1)

    def training(self, rows: np.ndarray, augment: AugmentConfig, seed: int, start_epoch: int, epochs: int) -> Any:
        """Return a tf.data.Dataset of the training batches of epochs [start_epoch, epochs).

        The order of cases and their augmentation are functions of (seed, epoch, case) alone.

        Raises:
            ConfigError: the shift is not smaller than the image.
        """
        import tensorflow as tf

        self._check_shift(augment.shift_px)
        order = tf.data.Dataset.range(start_epoch, epochs).flat_map(
            lambda epoch: self._epoch_order(tf.constant(rows, tf.int64), seed, epoch)
        )

        def load(batch_rows: Any, draws: Any) -> tuple[Any, Any]:
            image, mask = self._read(batch_rows)
            centred = 2.0 * draws - 1.0
            shift = tf.cast(tf.round(centred[:, 0:2] * augment.shift_px), tf.int32)
            flip = (draws[:, 2:4] < 0.5) & augment.flip
            image = self._scale(move(image, shift, flip))
            image = change_intensity(image, 1 + centred[:, 4] * augment.intensity, centred[:, 5] * augment.intensity)
            return image[..., tf.newaxis], tf.cast(move(mask, shift, flip), tf.float32)[..., tf.newaxis]

        return self._finish(order.map(load, num_parallel_calls=2))

    def evaluation(self, rows: np.ndarray, shift_px: int, seed: int) -> Any:
        """Return a tf.data.Dataset of the given cases in order, each shifted by its own fixed amount."""
        import tensorflow as tf

        self._check_shift(shift_px)
        names = self._dataset.cases["case"].iloc[rows].tolist()
        shifts = fixed_shifts(names, seed, shift_px)

        def load(batch_rows: Any, shift: Any) -> tuple[Any, Any]:
            image, mask = self._read(batch_rows)
            flip = tf.zeros_like(shift, tf.bool)
            image = self._scale(move(image, shift, flip))
            return image[..., tf.newaxis], tf.cast(move(mask, shift, flip), tf.float32)[..., tf.newaxis]

        order = tf.data.Dataset.from_tensor_slices((rows.astype(np.int64), shifts)).batch(self._batch_size)
        return self._finish(order.map(load, num_parallel_calls=2))

    def _epoch_order(self, rows: Any, seed: int, epoch: Any) -> Any:
        import tensorflow as tf

        epoch = tf.cast(epoch, tf.int32)
        shuffled = tf.random.experimental.stateless_shuffle(rows, seed=tf.stack([seed, 2 * epoch]))
        shape = (len(self._dataset), len(DRAWS))
        table = tf.random.stateless_uniform(shape, seed=tf.stack([seed, 2 * epoch + 1]))
        order = tf.data.Dataset.from_tensor_slices((shuffled, tf.gather(table, shuffled)))
        return order.batch(min(self._batch_size, len(rows)), drop_remainder=True)

    def _read(self, rows: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        images, needed = self._dataset.images, self._config.consensus_readers
        image_type = tf.as_dtype(images.dtype)

        def read(batch_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.asarray(images[batch_rows]), self._dataset.consensus(batch_rows, needed)

        image, mask = tf.numpy_function(read, [rows], [image_type, tf.uint8], stateful=False)
        for tensor in (image, mask):
            tensor.set_shape([rows.shape[0], *images.shape[1:]])
        return image, mask

    def _scale(self, image: Any) -> Any:
        import tensorflow as tf

        image = tf.cast(image, tf.float32)
        if self._dataset.units == "uint8":
            return image / 255.0
        low, high = self._config.window_hu
        return tf.clip_by_value((image - low) / (high - low), 0.0, 1.0)

    def _finish(self, batches: Any) -> Any:
        import tensorflow as tf

        options = tf.data.Options()
        options.deterministic = True
        options.threading.private_threadpool_size = 2  # the model's own may be down to one thread
        return batches.with_options(options).prefetch(4)

    def _check_shift(self, shift_px: int) -> None:
        side = min(self._dataset.images.shape[1:])
        if shift_px >= side:
            raise ConfigError(f"shift_px must be smaller than the image side of {side} pixels. Received: {shift_px}")
