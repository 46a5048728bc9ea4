"""A dataset's slices after the steps that a config names, and predictions back on the slices' own grids."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from collections.abc import Iterator

import numpy as np

from lungzoo.config import DataConfig
from lungzoo.data.preprocess.clahe import clahe
from lungzoo.data.preprocess.grid import Grid
from lungzoo.data.preprocess.lungs import lung_box, lung_fields
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, storage_error

_AIR_HU = -1024.0


class Source:
    """Slices of a dataset, after the preprocessing of a config.

    A step is carried out when a slice is first read. The result is kept in a file without a name that goes when the
    source does, so that memory stays flat and later epochs read as fast as without any step.

    Args:
        dataset: the opened dataset.
        config: the steps.

    Raises:
        ConfigError: spacing_mm of slices whose spacing is unknown, or CLAHE beside several windows.
    """

    def __init__(self, dataset: PreparedDataset, config: DataConfig) -> None:
        self._dataset, self._config = dataset, config
        self.dtype = dataset.images.dtype
        self._source_yx: tuple[int, int] = dataset.images.shape[1:]
        self.shape_yx: tuple[int, int] = (config.size_px,) * 2 if config.size_px else self._source_yx
        self._regrids = bool(config.size_px or config.spacing_mm or "lung_crop" in config.preprocess)
        self._volumes = dataset.cases["volume"].to_numpy()
        self._spacing_mm = dataset.cases[["spacing_y_mm", "spacing_x_mm"]].to_numpy(float)
        self._z = dataset.cases["z"].to_numpy()
        self._grids: dict[str, Grid] = {}
        self._lock = threading.Lock()
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self._check()
        self._changes = self._regrids or bool(config.preprocess)
        self._done = np.zeros(len(dataset), bool)

    @property
    def regrids(self) -> bool:
        """Whether slices are cropped or resampled, so that `inverse` has something to do."""
        return self._regrids

    def read(self, rows: np.ndarray, mask_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images of rows (…) as (…, H, W) in raw units, and lesion masks of others, uint8 {0, 1}."""
        flat, mask_flat = rows.ravel(), mask_rows.ravel()
        if not self._changes:
            image = np.asarray(self._dataset.images[flat])
            mask = self._dataset.consensus(mask_flat, self._config.consensus_readers)
        else:
            images, masks = self._filled(np.union1d(flat, mask_flat))
            image, mask = np.asarray(images[flat]), np.asarray(masks[mask_flat])
        return image.reshape(*rows.shape, *self.shape_yx), mask.reshape(*mask_rows.shape, *self.shape_yx)

    def inverse(self, predictions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return masks or probabilities (n, h, w) of rows on the slices' own grid, (n, H, W); 0 outside.

        Masks come back as bool or uint8 as they were, probabilities as float32.
        """
        if not self._regrids:
            return predictions
        back = np.zeros((len(rows), *self._source_yx), predictions.dtype)
        for number, row in enumerate(rows):
            grid = self.grid(int(row)).inverse
            is_mask = predictions.dtype.kind in "bu"
            back[number] = grid.resample_mask(predictions[number]) if is_mask else grid.resample(predictions[number], 0)
        return back

    def spacing_mm(self, row: int) -> tuple[float, float]:
        """Return the (y, x) spacing of a slice as it is read; NaN where unknown."""
        y, x = self._spacing_mm[row]
        step_y, step_x = self.grid(row).step_yx if self._regrids else (1.0, 1.0)
        return float(y * step_y), float(x * step_x)

    def grid(self, row: int) -> Grid:
        """Return the grid of a slice; it is the same for all slices of a volume, so that stacks fit together."""
        volume = str(self._volumes[row])
        if volume not in self._grids:
            self._grids[volume] = self._make_grid(np.flatnonzero(self._volumes == self._volumes[row]))
        return self._grids[volume]

    def _make_grid(self, rows: np.ndarray) -> Grid:
        config = self._config
        box: tuple[slice, slice] = (slice(0, self._source_yx[0]), slice(0, self._source_yx[1]))
        if "lung_crop" in config.preprocess:
            box = lung_box(self._images(self._in_order(rows)))
        sides = [each.stop - each.start for each in box]
        centre = [each.start + (side - 1) / 2 for each, side in zip(box, sides, strict=True)]
        if config.spacing_mm:
            step = [config.spacing_mm / spacing for spacing in self._spacing_mm[rows[0]]]
        else:
            step = [max(side / shape for side, shape in zip(sides, self.shape_yx, strict=True))] * 2
        return Grid.around((centre[0], centre[1]), (step[0], step[1]), self.shape_yx, self._source_yx)

    def _filled(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the kept images and masks, with the steps carried out for these rows.

        Two threads may carry out the same, to the same end.
        """
        with self._lock:
            if self._kept is None:
                self._kept = self._scratch(self.dtype), self._scratch(np.dtype("u1"))
        for row, image in self._masked(rows[~self._done[rows]]):
            mask = self._dataset.consensus(np.array([row]), self._needed)[0]
            if self._regrids:
                grid = self.grid(int(row))
                image, mask = grid.resample(image, self._air), grid.resample_mask(mask)
            if "clahe" in self._config.preprocess:
                image = self._equalised(image)
            if self.dtype.kind in "iu":
                image = np.round(image)
            self._kept[0][row], self._kept[1][row] = image, mask
            self._done[row] = True
        return self._kept

    def _masked(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield rows with their images, air outside the lungs where that is asked for.

        The lungs of a volume are found once, so all of its rows come with those that were asked for.
        """
        if "lung_mask" not in self._config.preprocess:
            yield from ((int(row), self._dataset.images[row]) for row in rows)
            return
        for volume in dict.fromkeys(self._volumes[rows]):
            ordered = self._in_order(np.flatnonzero(self._volumes == volume))
            images = self._images(ordered)
            for row, image, lungs in zip(ordered, images, lung_fields(images), strict=True):
                yield int(row), np.where(lungs, image, np.asarray(self._air, image.dtype))

    def _images(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of rows; where these follow each other they are not copied."""
        images, first, last = self._dataset.images, int(rows[0]), int(rows[-1])
        follow = np.array_equal(rows, np.arange(first, last + 1))
        return np.asarray(images[first : last + 1] if follow else images[rows])

    def _in_order(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of a volume in the order of z."""
        ordered: np.ndarray = rows[np.argsort(self._z[rows], kind="stable")]
        return ordered

    def _equalised(self, image: np.ndarray) -> np.ndarray:
        low, high = self._range
        return low + clahe(np.clip((np.asarray(image, np.float32) - low) / (high - low), 0, 1)) * (high - low)

    @property
    def _needed(self) -> int:
        return self._config.consensus_readers

    @property
    def _air(self) -> float:
        return _AIR_HU if self._dataset.units == "hu" else 0.0

    @property
    def _range(self) -> tuple[float, float]:
        if self._dataset.units != "hu":
            return 0.0, 255.0
        return self._config.windows[0] if self._config.windows else self._config.window_hu

    def _scratch(self, dtype: np.dtype) -> np.ndarray:
        shape = (len(self._dataset), *self.shape_yx)
        try:
            with tempfile.TemporaryFile(prefix="lungzoo-") as file:
                # Room is taken now: a disk that fills up later would end the process at a write into the map.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, math.prod(shape) * dtype.itemsize)
                return np.memmap(file, dtype, "w+", shape=shape)
        except OSError as error:
            raise storage_error(f"keep preprocessed slices in {tempfile.gettempdir()} (TMPDIR)", error) from error

    def _check(self) -> None:
        config, unknown = self._config, ~np.isfinite(self._spacing_mm).all(axis=1)
        if config.spacing_mm and unknown.any():
            case = self._dataset.cases["case"].iloc[int(np.flatnonzero(unknown)[0])]
            raise ConfigError(
                f"data.spacing_mm needs the spacing of every slice; '{self._dataset.name}' does not know it of "
                f"{int(unknown.sum())} of {len(unknown)}, such as {case}. Received: {config.spacing_mm}. Leave it out."
            )
        if "clahe" in config.preprocess and len(config.windows) > 1:
            raise ConfigError(
                'The step "clahe" of data.preprocess equalises one window. '
                f"Received: {len(config.windows)} in data.windows. Allowed: at most 1."
            )
