"""Size, shape, grey values and texture of a marked lesion, as numbers with names.

Where the spacing is unknown, features in mm are NaN; shapes are then those of square pixels. Where nothing lies around
the lesion, features of its rim are NaN. Grey values are those that a model sees, in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lungzoo.classifiers.contract import Lesion

SIZE = ("area_px", "area_mm2", "equivalent_diameter_mm", "longest_diameter_mm", "perimeter_mm")
SHAPE = ("circularity", "elongation")
GREY = (
    "mean",
    "std",
    "p10",
    "p50",
    "p90",
    "rim_mean",
    "rim_std",
    "rim_contrast",
    "slope",
    "edge_slope",
)
TEXTURE = ("texture_contrast", "texture_homogeneity", "texture_energy", "texture_entropy")
NAMES = (*SIZE, *SHAPE, *GREY, *TEXTURE)

RIM_PX = 3
LEVELS = 8


def features(lesion: Lesion) -> dict[str, float]:
    """Return all features of a lesion, in the order of `NAMES`."""
    lesion = _surroundings(lesion)
    found = {**size_and_shape(lesion), **grey_values(lesion), **texture(lesion.image, lesion.mask)}
    return {name: found[name] for name in NAMES}


def size_and_shape(lesion: Lesion) -> dict[str, float]:
    """Return the features of `SIZE` and `SHAPE`.

    The perimeter is the length of all pixel edges on the outline times π/4: Crofton's formula with two directions,
    which is right for a disc and too short for a square along the grid. Circularity is 4π · area / perimeter², 1 for a
    disc; elongation the ratio of the standard deviations along the main axes, the shorter over the longer.
    """
    known = all(map(math.isfinite, lesion.spacing_mm))
    spacing = lesion.spacing_mm if known else (1.0, 1.0)
    pixels = int(lesion.mask.sum())
    area = pixels * spacing[0] * spacing[1]
    perimeter = _outline(lesion.mask, spacing) * math.pi / 4
    in_mm = {
        "area_mm2": area,
        "equivalent_diameter_mm": 2 * math.sqrt(area / math.pi),
        "longest_diameter_mm": _longest(lesion.mask, spacing),
        "perimeter_mm": perimeter,
    }
    return {
        "area_px": float(pixels),
        **(in_mm if known else dict.fromkeys(in_mm, math.nan)),
        "circularity": 4 * math.pi * area / perimeter**2,
        "elongation": _elongation(lesion.mask, spacing),
    }


def grey_values(lesion: Lesion) -> dict[str, float]:
    """Return the features of `GREY`: inside, in a rim of `RIM_PX` pixels around, and the gradient per pixel."""
    from scipy.ndimage import binary_dilation, binary_erosion

    image, mask = lesion.image, lesion.mask
    inside = image[mask]
    rim = image[binary_dilation(mask, iterations=RIM_PX) & ~mask]
    slope = np.hypot(*np.gradient(image))
    edge = mask & ~binary_erosion(mask)
    p10, p50, p90 = np.percentile(inside, (10, 50, 90))
    rim_mean, rim_std = (float(rim.mean()), float(rim.std())) if rim.size else (math.nan, math.nan)
    return {
        "mean": float(inside.mean()),
        "std": float(inside.std()),
        "p10": float(p10),
        "p50": float(p50),
        "p90": float(p90),
        "rim_mean": rim_mean,
        "rim_std": rim_std,
        "rim_contrast": float(inside.mean()) - rim_mean,
        "slope": float(slope[mask].mean()),
        "edge_slope": float(slope[edge].mean()),
    }


def texture(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Return the features of `TEXTURE`, from how often grey levels lie side by side in the lesion.

    Pairs are those of neighbours in a row or a column with both pixels inside, counted both ways, of `LEVELS` levels
    over [0, 1]. NaN where there is no pair.

    Source: Haralick et al. 1973, doi:10.1109/TSMC.1973.4309314.
    """
    levels = np.clip((image * LEVELS).astype(np.int64), 0, LEVELS - 1)
    counts = np.zeros((LEVELS, LEVELS))
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = mask[first] & mask[second]
        np.add.at(counts, (levels[first][both], levels[second][both]), 1)
    counts += counts.T
    if not counts.any():
        return dict.fromkeys(TEXTURE, math.nan)
    share = counts / counts.sum()
    apart = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))
    some = share[share > 0]
    return {
        "texture_contrast": float((share * apart**2).sum()),
        "texture_homogeneity": float((share / (1 + np.abs(apart))).sum()),
        "texture_energy": float((share**2).sum()),
        "texture_entropy": float(-(some * np.log2(some)).sum()),
    }


def _surroundings(lesion: Lesion) -> Lesion:
    """Cut away what no feature looks at, most of a slice: beyond the rim, and the neighbours that gradients need."""
    margin = max(RIM_PX, 1)
    rows, columns = (np.flatnonzero(lesion.mask.any(axis=axis)) for axis in (1, 0))
    place = tuple(slice(max(line[0] - margin, 0), line[-1] + margin + 1) for line in (rows, columns))
    return replace(lesion, image=lesion.image[place], mask=lesion.mask[place])


def _outline(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    """Return the length of the pixel edges between inside and outside; beyond the image is outside."""
    padded = np.pad(mask, 1).astype(np.int8)
    across_rows = int(np.abs(np.diff(padded, axis=0)).sum())
    across_columns = int(np.abs(np.diff(padded, axis=1)).sum())
    return across_rows * spacing[1] + across_columns * spacing[0]


def _longest(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    """Return the largest distance of two pixel corners of the lesion."""
    from scipy.spatial.distance import pdist

    corners = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), bool)
    for down in (0, 1):
        for right in (0, 1):
            corners[down : down + mask.shape[0], right : right + mask.shape[1]] |= mask
    # The two that are furthest apart are the first or the last of their rows.
    rows = np.flatnonzero(corners.any(axis=1))
    first = corners[rows].argmax(axis=1)
    last = corners.shape[1] - 1 - corners[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    return float(pdist(points * np.asarray(spacing)).max())


def _elongation(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    points = np.argwhere(mask) * np.asarray(spacing)
    if len(points) < 2:
        return 1.0
    low, high = map(float, np.linalg.eigvalsh(np.cov(points, rowvar=False)))
    return math.sqrt(max(low, 0.0) / high)
