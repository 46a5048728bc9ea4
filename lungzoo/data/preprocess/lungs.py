"""The lung fields by thresholds and shapes, without a network.

Source: Hu, Hoffman and Reinhardt 2001, Automatic lung segmentation for accurate quantitation of volumetric X-ray CT
images, IEEE Trans. Med. Imaging 20(6):490-498, doi:10.1109/42.929615.
"""

from __future__ import annotations

import numpy as np

_SMALLEST_SHARE = 0.005
_CLOSING_SHARE = 0.02


def optimal_threshold(image: np.ndarray) -> float:
    """Return the grey value midway between the means of what is darker and what is brighter than it.

    Args:
        image: any shape, in HU or 8 bits; needs dark and bright parts.
    """
    values = np.asarray(image, np.float32).ravel()
    threshold = float(values.min() + values.max()) / 2
    for _ in range(50):
        dark = values <= threshold
        if dark.all() or not dark.any():
            return threshold
        better = float(values[dark].mean() + values[~dark].mean()) / 2
        if abs(better - threshold) < 0.5:
            return better
        threshold = better
    return threshold


def lung_mask(image: np.ndarray) -> np.ndarray:
    """Return the lung fields of a whole slice or volume.

    Dark parts that do not reach the slice's border; the two largest of them, if they take half a percent of the image;
    closed (so that vessels and lesions at the wall belong), holes filled slice by slice.

    Args:
        image: (H, W) or (Z, Y, X), in HU or 8 bits, of the whole chest: in a crop the lung reaches the border.

    Returns:
        bool like `image`; empty where nothing is found.
    """
    from scipy import ndimage

    planes = np.asarray(image).reshape(-1, *np.shape(image)[-2:])
    dark = np.stack([_within(plane) for plane in planes < optimal_threshold(image)])
    labels, count = ndimage.label(dark)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = [part for part in np.argsort(-sizes)[:2] if sizes[part] >= max(_SMALLEST_SHARE * dark.size, 1)]
    return _closed(np.isin(labels, largest)).reshape(np.shape(image))


def lung_box(image: np.ndarray, margin_share: float = 0.05) -> tuple[slice, slice]:
    """Return the rows and columns of the lung fields of a slice or volume, and a margin; all if there are none.

    Args:
        image: as for `lung_mask`.
        margin_share: of the box's sides, added on each side.
    """
    mask = lung_mask(image)
    if not mask.any():
        return slice(0, mask.shape[-2]), slice(0, mask.shape[-1])
    flat = mask.reshape(-1, *mask.shape[-2:]).max(axis=0)
    sides = []
    for axis in (0, 1):
        found = np.flatnonzero(flat.max(axis=1 - axis))
        margin = int(np.ceil(margin_share * (found[-1] + 1 - found[0])))
        sides.append(slice(int(max(found[0] - margin, 0)), int(min(found[-1] + 1 + margin, flat.shape[axis]))))
    return sides[0], sides[1]


def _within(dark: np.ndarray) -> np.ndarray:
    """Leave out the parts of a slice (H, W) that reach its border: the air around the body."""
    from scipy import ndimage

    labels, _ = ndimage.label(dark)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return dark & ~np.isin(labels, border)


def _closed(planes: np.ndarray) -> np.ndarray:
    """Close by a disc of a fiftieth of the side and fill holes, in each slice of (Z, H, W)."""
    from scipy import ndimage

    radius = max(round(_CLOSING_SHARE * max(planes.shape[-2:])), 1)
    closed = np.zeros_like(planes)
    for z in np.flatnonzero(planes.any(axis=(1, 2))):
        # Dilated and eroded by distances; beyond the border a closing sees nothing and would eat into what touches it.
        grown = ndimage.distance_transform_edt(~np.pad(planes[z], 2 * radius)) <= radius
        shrunk = ndimage.distance_transform_edt(grown) > radius
        closed[z] = ndimage.binary_fill_holes(shrunk[2 * radius : -2 * radius, 2 * radius : -2 * radius])
    return closed
