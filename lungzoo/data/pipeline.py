"""The one input pipeline: prepared dataset in, batches of (image, mask, label) out, for every model and backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lungzoo.config import AugmentConfig, DataConfig
from lungzoo.data.augment import Augmentation, fixed_shifts, move
from lungzoo.data.augment.draws import table
from lungzoo.data.preprocess.grey import Scaling, Statistics
from lungzoo.data.preprocess.source import Source
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

    Images are float32 (B, H, W, slices · channels) in [0, 1], the channels of a slice side by side, one for each
    window; masks float32 (B, H, W, 1) in {0, 1}. Of a volume view they are (B, slices, H, W, channels) and
    (B, slices, H, W, 1). Labels are int32 (B, 1), the number of the class, -1 for a case with none of the classes.

    Args:
        dataset: the opened dataset.
        config: windows, preprocessing and consensus rule.
        batch_size: cases per batch.
        view: how a case is shown.
        statistics: of the training split, for `normalise = "zscore"`; see `measure_statistics`.

    Raises:
        ConfigError: the config asks for what the dataset cannot give, such as windows of images without HU.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        config: DataConfig,
        batch_size: int,
        view: View | None = None,
        statistics: Statistics | None = None,
    ) -> None:
        self.statistics = statistics
        self._source = Source(dataset, config)
        self._scaling = Scaling(config, dataset.units, statistics)
        self._dataset, self._config = dataset, config
        self._batch_size = batch_size
        self._view = view or View()
        numbers = {label: number for number, label in enumerate(self._view.labels)}
        self._labels = dataset.cases["label"].map(numbers).fillna(-1).to_numpy(np.int32)
        self._stacks = neighbours(dataset.cases["volume"], dataset.cases["z"], self._view.slices)

    @property
    def source(self) -> Source:
        """Where slices come from, with the way back to their own grids."""
        return self._source

    def labelled(self, rows: np.ndarray) -> np.ndarray:
        """Return those of the rows whose case has one of the classes."""
        return rows[self._labels[rows] >= 0]

    def steps_per_epoch(self, rows: np.ndarray) -> int:
        """Return the number of full training batches of an epoch (at least one)."""
        return max(len(rows) // self._batch_size, 1)

    def training(self, rows: np.ndarray, augment: AugmentConfig, seed: int, start_epoch: int, epochs: int) -> Any:
        """Return a tf.data.Dataset of the training batches of epochs [start_epoch, epochs).

        The order of cases and their augmentation are functions of (seed, epoch, case) alone.

        Raises:
            ConfigError: the shift is not smaller than the image; lesions are asked for and no case has one.
        """
        return self._augmented(rows, augment, seed, start_epoch, epochs).map(lambda shown, *batch: batch)

    def shown(self, rows: np.ndarray, augment: AugmentConfig, seed: int, epoch: int) -> dict[int, tuple[Any, Any]]:
        """Return what an epoch of training makes of the given cases: row -> (image, mask), to look at."""
        found: dict[int, tuple[Any, Any]] = {}
        for names, images, masks, _ in self._augmented(rows, augment, seed, epoch, epoch + 1).as_numpy_iterator():
            found |= {int(row): (image, mask) for row, image, mask in zip(names, images, masks, strict=True)}
        return found

    def _augmented(self, rows: np.ndarray, augment: AugmentConfig, seed: int, start_epoch: int, epochs: int) -> Any:
        import tensorflow as tf

        self._check_shift(augment.shift_px)
        augmentation = Augmentation(augment, seed, self._scaling)
        candidates = {name: tf.constant(rows, tf.int64) for name in augmentation.partners}
        epoch_order = _EpochOrder(rows, len(self._dataset), augmentation, seed, min(self._batch_size, len(rows)))
        if augment.foreground > 0 or "copy_paste" in augmentation.partners:
            lesions = self._with_lesion(rows)
            candidates["copy_paste"] = tf.constant(lesions, tf.int64)
            epoch_order.oversample(lesions, augment.foreground)

        def load(draws: dict[str, Any]) -> tuple[Any, ...]:
            def read(operation: str) -> tuple[Any, Any, Any]:
                chosen, partners = augmentation.takes(operation, draws, candidates[operation])
                return chosen, *self._read(partners)

            image, mask = augmentation.mix(*self._read(draws["rows"]), draws, read)
            image, mask = augmentation.change(image, mask, draws)
            return draws["rows"], *self._show(draws["rows"], image, mask)

        order = tf.data.Dataset.range(start_epoch, epochs).flat_map(epoch_order)
        return self._finish(order.map(load, num_parallel_calls=2))

    def evaluation(self, rows: np.ndarray, shift_px: int, seed: int) -> Any:
        """Return a tf.data.Dataset of the given cases in order, each shifted by its own fixed amount."""
        import tensorflow as tf

        self._check_shift(shift_px)
        names = self._dataset.cases["case"].iloc[rows].tolist()
        shifts = fixed_shifts(names, seed, shift_px)

        def load(batch_rows: Any, shift: Any) -> tuple[Any, Any, Any]:
            still = tf.zeros_like(shift, tf.bool)
            image, mask = (move(part, shift, still) for part in self._read(batch_rows))
            return self._show(batch_rows, self._scaling(image), mask)

        order = tf.data.Dataset.from_tensor_slices((rows.astype(np.int64), shifts)).batch(self._batch_size)
        return self._finish(order.map(load, num_parallel_calls=2))

    def _read(self, rows: Any) -> tuple[Any, Any]:
        """Read the cases' stacks: (B, slices, H, W) in raw units, uint8 (B, mask slices, H, W)."""
        import tensorflow as tf

        view, source = self._view, self._source
        stacks = tf.gather(tf.constant(self._stacks), rows)
        masked = stacks if view.volume else stacks[:, view.slices // 2 : view.slices // 2 + 1]
        types = [tf.as_dtype(source.dtype), tf.uint8]
        image, mask = tf.numpy_function(source.read, [stacks, masked], types, stateful=False)
        image.set_shape([*stacks.shape, *source.shape_yx])
        mask.set_shape([*masked.shape, *source.shape_yx])
        return image, mask

    def _show(self, rows: Any, image: Any, mask: Any) -> tuple[Any, Any, Any]:
        """Arrange the axes of (B, slices · channels, H, W) as the view says, and add the labels."""
        import tensorflow as tf

        label = tf.gather(tf.constant(self._labels), rows)[:, tf.newaxis]
        image = self._arrange(image, rows.shape[0], self._scaling.channels)
        return image, self._arrange(tf.cast(mask, tf.float32), rows.shape[0], 1), label

    def _arrange(self, flat: Any, cases: int | None, channels: int) -> Any:
        import tensorflow as tf

        flat.set_shape([cases, None, *self._source.shape_yx])
        if self._view.volume:
            split = tf.reshape(flat, [-1, flat.shape[1] // channels, channels, *flat.shape[2:]])
            return split[:, :, 0, ..., tf.newaxis] if channels == 1 else tf.transpose(split, [0, 1, 3, 4, 2])
        # A new shape takes no copy.
        alone = flat.shape[1] == 1
        return tf.reshape(flat, [-1, *flat.shape[2:], 1]) if alone else tf.transpose(flat, [0, 2, 3, 1])

    def _with_lesion(self, rows: np.ndarray) -> np.ndarray:
        lesions = rows[self._dataset.lesion_px(self._config.consensus_readers)[rows] > 0]
        if not len(lesions):
            raise ConfigError(
                "augment.foreground and augment.copy_paste need cases with a lesion. Received: none in the training "
                "split. Lower data.consensus_readers, or set both to 0."
            )
        return lesions

    def _finish(self, batches: Any) -> Any:
        import tensorflow as tf

        options = tf.data.Options()
        options.deterministic = True
        options.threading.private_threadpool_size = 2  # the model's own may be down to one thread
        # Nothing here is left to be tuned, and the tuner's thread lets who closes an iterator wait up to a minute.
        options.autotune.enabled = False
        return batches.with_options(options).prefetch(4)

    def _check_shift(self, shift_px: int) -> None:
        side = min(self._source.shape_yx)
        if shift_px >= side:
            raise ConfigError(f"shift_px must be smaller than the image side of {side} pixels. Received: {shift_px}")


class _EpochOrder:
    """The cases of an epoch in their order, in batches, with the random numbers of each; called with the epoch."""

    def __init__(self, rows: np.ndarray, cases: int, augmentation: Augmentation, seed: int, batch_size: int) -> None:
        self._rows, self._cases, self._augmentation = rows, cases, augmentation
        self._seed, self._batch_size = seed, batch_size
        self._lesions, self._share = rows[:0], 0.0

    def oversample(self, lesions: np.ndarray, wanted: float) -> None:
        """Let rows of `lesions` take the places of others, until their expected share is `wanted`."""
        present = len(lesions) / len(self._rows)
        self._lesions, self._share = lesions, max(wanted - present, 0.0) / max(1 - present, 1e-9)

    def __call__(self, epoch: Any) -> Any:
        import tensorflow as tf

        epoch = tf.cast(epoch, tf.int32)
        rows = tf.constant(self._rows, tf.int64)
        places = tf.random.experimental.stateless_shuffle(rows, seed=tf.stack([self._seed, 2 * epoch]))
        shown = self._oversampled(places, epoch) if self._share > 0 else places
        tables = self._augmentation.tables(self._cases, epoch)

        def draw(place: Any, row: Any) -> dict[str, Any]:
            return {"rows": row, **{name: tf.gather(values, place) for name, values in tables.items()}}

        order = tf.data.Dataset.from_tensor_slices((places, shown))
        return order.batch(self._batch_size, drop_remainder=True).map(draw)

    def _oversampled(self, places: Any, epoch: Any) -> Any:
        """A place keeps its random numbers, so that a lesion shown twice is changed in two ways."""
        import tensorflow as tf

        draws = tf.gather(table("foreground", self._cases, self._seed, epoch), places)
        has_lesion = tf.constant(np.isin(np.arange(self._cases), self._lesions))
        chosen = tf.cast(draws[:, 1] * len(self._lesions), tf.int32)
        instead = tf.gather(tf.constant(self._lesions, tf.int64), tf.minimum(chosen, len(self._lesions) - 1))
        replaced = (draws[:, 0] < self._share) & ~tf.gather(has_lesion, places)
        return tf.where(replaced, instead, places)


def neighbours(volumes: pd.Series, z: pd.Series, slices: int) -> np.ndarray:
    """Return int64 (N, slices): for every row the rows of the slices around it in its volume, by z.

    Where the volume ends, its first or last slice repeats.
    """
    order = np.lexsort((z.to_numpy(), volumes.to_numpy()))
    sorted_volumes = volumes.to_numpy()[order]
    sorted_z = z.to_numpy()[order]
    # A step of more than one slice ends a run of neighbours as the end of the volume does.
    breaks = np.flatnonzero((np.diff(sorted_z) > 1) | (sorted_volumes[1:] != sorted_volumes[:-1])) + 1
    edges = np.concatenate([[0], breaks, [len(order)]])
    first = np.repeat(edges[:-1], np.diff(edges))
    last = np.repeat(edges[1:] - 1, np.diff(edges))
    offsets = np.arange(slices) - slices // 2
    places = np.clip(np.arange(len(order))[:, None] + offsets, first[:, None], last[:, None])
    stacks = np.empty((len(order), slices), np.int64)
    stacks[order] = order[places]
    return stacks
