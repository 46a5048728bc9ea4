"""The one input pipeline: prepared dataset in, batches of (image, mask, label) out, for every model and backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.augment import DRAWS, change_intensity, fixed_shifts, move
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class View:
    """How a case is shown to a model.

    Args:
        slices: odd number of neighbouring slices of the volume, the case in the middle; beyond the volume's ends its
            first and last slices repeat.
        volume: the slices are the depth of a volume (3D), and all of them have masks; else they are channels (2.5D),
            and the mask is the middle one's. A neighbour that readers dispute counts by their consensus, so as
            lesion-free, in the mask of a volume.
        labels: names of the label classes.
    """

    slices: int = 1
    volume: bool = False
    labels: tuple[str, ...] = ()


class Pipeline:
    """Batches of one dataset under one data config.

    Images are float32 (B, H, W, slices) in [0, 1], masks float32 (B, H, W, 1) in {0, 1}; of a volume view
    (B, slices, H, W, 1) both. Labels are int32 (B, 1), the number of the class, -1 for a case with none of the classes.

    Args:
        dataset: the opened dataset.
        config: HU window and consensus rule.
        batch_size: cases per batch.
        view: how a case is shown.
    """

    def __init__(self, dataset: PreparedDataset, config: DataConfig, batch_size: int, view: View | None = None) -> None:
        self._dataset = dataset
        self._config = config
        self._batch_size = batch_size
        self._view = view or View()
        numbers = {label: number for number, label in enumerate(self._view.labels)}
        self._labels = dataset.cases["label"].map(numbers).fillna(-1).to_numpy(np.int32)
        self._stacks = neighbours(dataset.cases["volume"], dataset.cases["z"], self._view.slices)

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

        def load(batch_rows: Any, draws: Any) -> tuple[Any, Any, Any]:
            centred = 2.0 * draws - 1.0
            shift = tf.cast(tf.round(centred[:, 0:2] * augment.shift_px), tf.int32)
            flip = (draws[:, 2:4] < 0.5) & augment.flip
            contrast, brightness = 1 + centred[:, 4] * augment.intensity, centred[:, 5] * augment.intensity
            return self._show(batch_rows, shift, flip, (contrast, brightness))

        return self._finish(order.map(load, num_parallel_calls=2))

    def evaluation(self, rows: np.ndarray, shift_px: int, seed: int) -> Any:
        """Return a tf.data.Dataset of the given cases in order, each shifted by its own fixed amount."""
        import tensorflow as tf

        self._check_shift(shift_px)
        names = self._dataset.cases["case"].iloc[rows].tolist()
        shifts = fixed_shifts(names, seed, shift_px)

        def load(batch_rows: Any, shift: Any) -> tuple[Any, Any, Any]:
            return self._show(batch_rows, shift, tf.zeros_like(shift, tf.bool), None)

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

    def _show(self, rows: Any, shift: Any, flip: Any, intensity: tuple[Any, Any] | None) -> tuple[Any, Any, Any]:
        """Read the cases' stacks of slices, move and scale them, and arrange the axes as the view says."""
        import tensorflow as tf

        view = self._view
        label = tf.gather(tf.constant(self._labels), rows)[:, tf.newaxis]
        stacks = tf.gather(tf.constant(self._stacks), rows)
        masked = stacks if view.volume else stacks[:, view.slices // 2 : view.slices // 2 + 1]
        image, mask = self._read(tf.reshape(stacks, [-1]), tf.reshape(masked, [-1]))
        image = self._scale(move(image, *(tf.repeat(each, view.slices, axis=0) for each in (shift, flip))))
        if intensity is not None:
            image = change_intensity(image, *(tf.repeat(each, view.slices) for each in intensity))
        mask = move(mask, *(tf.repeat(each, masked.shape[1], axis=0) for each in (shift, flip)))
        return self._arrange(image, view.slices), self._arrange(tf.cast(mask, tf.float32), masked.shape[1]), label

    def _arrange(self, flat: Any, slices: int) -> Any:
        """(B·slices, H, W) -> (B, slices, H, W, 1) for a volume, (B, H, W, slices) else."""
        import tensorflow as tf

        sides = flat.shape[1:]
        if not self._view.volume and slices == 1:
            return flat[..., tf.newaxis]
        stacked = tf.reshape(flat, [-1, slices, *sides])
        return stacked[..., tf.newaxis] if self._view.volume else tf.transpose(stacked, [0, 2, 3, 1])

    def _read(self, rows: Any, mask_rows: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        images, needed = self._dataset.images, self._config.consensus_readers
        image_type = tf.as_dtype(images.dtype)

        def read(image_rows: np.ndarray, mask_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.asarray(images[image_rows]), self._dataset.consensus(mask_rows, needed)

        image, mask = tf.numpy_function(read, [rows, mask_rows], [image_type, tf.uint8], stateful=False)
        image.set_shape([rows.shape[0], *images.shape[1:]])
        mask.set_shape([mask_rows.shape[0], *images.shape[1:]])
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


def neighbours(volumes: pd.Series, z: pd.Series, slices: int) -> np.ndarray:
    """Return int64 (N, slices): for every row the rows of the slices around it in its volume, by z.

    Where the volume ends, its first or last slice repeats.
    """
    order = np.lexsort((z.to_numpy(), volumes.to_numpy()))
    sorted_volumes = volumes.to_numpy()[order]
    first = np.searchsorted(sorted_volumes, sorted_volumes, "left")
    last = np.searchsorted(sorted_volumes, sorted_volumes, "right") - 1
    offsets = np.arange(slices) - slices // 2
    places = np.clip(np.arange(len(order))[:, None] + offsets, first[:, None], last[:, None])
    stacks = np.empty((len(order), slices), np.int64)
    stacks[order] = order[places]
    return stacks
