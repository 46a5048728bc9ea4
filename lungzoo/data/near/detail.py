"""What is left of a slice once windows and compression are taken away: its fine structure, at one size."""

from __future__ import annotations

import numpy as np

SIDE = 128
CELLS = 64
_LUNG_HU = (-1350.0, 150.0)
_FLOOR, _LARGEST = 0.1, 3.0
_COARSE_PX, _FINE_PX = (1.5, 8.0), (1.0, 4.0)
_BATCH = 256


def coarse_maps(images: np.ndarray, units: str) -> np.ndarray:
    """Return how far each point of a slice stands out from its surroundings.

    Every slice is stretched to 128×128, blurred, and divided by its local contrast. Brightness, contrast and
    monotone intensity maps hardly change the result; shifts and mirrorings do to it what they do to the slice.

    Args:
        images: (N, H, W) in HU or uint8.
        units: "hu" or "uint8".

    Returns:
        float32 (N, 64, 64) in [-3, 3]; two pixels of 128 a cell.
    """
    maps = np.empty((len(images), CELLS, CELLS), np.float32)
    size = SIDE // CELLS
    for start in range(0, len(images), _BATCH):
        full = _stand_out(_canvas(images[start : start + _BATCH], units), *_COARSE_PX)
        maps[start : start + _BATCH] = full.reshape(-1, CELLS, size, CELLS, size).mean((2, 4))
    return maps


def fine_maps(images: np.ndarray, units: str) -> np.ndarray:
    """Return the same as float32 (N, 128, 128), of structures so fine that they differ from patient to patient."""
    return _stand_out(_canvas(images, units), *_FINE_PX)


def _canvas(images: np.ndarray, units: str) -> np.ndarray:
    """Return float32 (n, 128, 128); HU are clipped to the lung window."""
    values = np.asarray(images, np.float32)
    if units == "hu":
        values = np.clip(values, *_LUNG_HU)
    if values.shape[1:] == (SIDE, SIDE):
        return values
    from PIL import Image

    shrinks = min(values.shape[1:]) > SIDE
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(value).resize((SIDE, SIDE), how)) for value in values])


def _stand_out(images: np.ndarray, blur_px: float, around_px: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    def blur(values: np.ndarray, sigma: float) -> np.ndarray:
        return np.asarray(gaussian_filter(values, (0, sigma, sigma), truncate=2.5))

    contrast = images.std(axis=(1, 2), keepdims=True)
    ridges = blur(images, blur_px)
    ridges -= blur(ridges, around_px)
    # The floor keeps noise in flat regions, such as the air around the body, from counting as structure.
    local = np.sqrt(blur(ridges**2, around_px)) + _FLOOR * contrast
    ratio = np.divide(ridges, local, out=np.zeros_like(ridges), where=contrast > 1e-3)
    return np.clip(ratio, -_LARGEST, _LARGEST)
