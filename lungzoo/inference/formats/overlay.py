"""Slices with the outline of the mask, as a PNG to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungzoo.data.drawing import grey_values
from lungzoo.inference.inputs import Input
from lungzoo.inference.result import Result

MOST_TILES = 12
_COLUMNS = 4
_COLOUR = (249, 115, 22)
_TILE_PX = 384


def check(found: Input, path: Path) -> None:
    """Any scan can be drawn."""


def write(path: Path, result: Result) -> None:
    """Draw a single slice at its own size; of a volume a sheet of the slices with the most lesion, feet to head.

    Slices of a volume have their index at the upper left, counted as in the lesion list; where no lesion was found the
    middle slice says so.
    """
    from PIL import Image

    picture = sheet(result)
    Image.fromarray(picture).save(path, format="PNG")


def sheet(result: Result) -> np.ndarray:
    """Return uint8 (H, W, 3)."""
    rows = choose_slices(result.mask[result.volume.z])
    step = max(1, round(max(result.volume.image.shape[1:]) / _TILE_PX)) if len(rows) > 1 else 1
    tiles = [_tile(result, int(row), step) for row in rows]
    if result.volume.shape_zyx[0] > 1:
        tiles = [_labelled(tile, _label(result, int(row))) for tile, row in zip(tiles, rows, strict=True)]
    height, width, _ = tiles[0].shape
    columns = min(_COLUMNS, len(tiles))
    lines = -(-len(tiles) // columns)
    page = np.zeros((lines * height, columns * width, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        page[top : top + height, left : left + width] = tile
    return page


def choose_slices(mask: np.ndarray) -> np.ndarray:
    """Return the slices with the most lesion, at most twelve, in order; the middle one where there is no lesion.

    Args:
        mask: uint8 (Z, Y, X).
    """
    areas = np.array([np.count_nonzero(plane) for plane in mask])
    if not areas.any():
        return np.array([len(mask) // 2])
    best = np.argsort(-areas, kind="stable")[:MOST_TILES]
    return np.sort(best[areas[best] > 0])


def _tile(result: Result, row: int, step: int) -> np.ndarray:
    """Draw every `step`-th pixel of a slice; a pixel is lesion if any that it stands for is."""
    volume = result.volume
    grey = grey_values(volume.image[row, ::step, ::step], volume.units)
    tile = np.repeat(np.round(grey * 255).astype(np.uint8)[..., None], 3, axis=-1)
    tile[outline(_shrunk(result.mask[volume.z[row]] > 0, step))] = _COLOUR
    return tile


def _shrunk(mask: np.ndarray, step: int) -> np.ndarray:
    fill = [(0, -side % step) for side in mask.shape]
    blocks = np.pad(mask, fill)
    height, width = (side // step for side in blocks.shape)
    return np.asarray(blocks.reshape(height, step, width, step).max(axis=(1, 3)))


def _label(result: Result, row: int) -> str:
    z = int(result.volume.z[row])
    return f"z {z}" if result.mask[z].any() else f"z {z}\nno lesion"


def _labelled(tile: np.ndarray, label: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(tile)
    margin = max(tile.shape[0] // 64, 1)
    size = max(tile.shape[0] / 24, 8.0)
    ImageDraw.Draw(picture).text((margin, margin), label, fill=_COLOUR, font_size=size)
    return np.asarray(picture)


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels just outside a mask that share a side with it, bool (H, W); so it hides nothing of a lesion."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask)) & ~mask
