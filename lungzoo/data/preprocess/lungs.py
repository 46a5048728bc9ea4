"""The lung fields by thresholds and shapes, without a network.

Source: Hu, Hoffman and Reinhardt 2001, Automatic lung segmentation for accurate quantitation of volumetric X-ray CT
images, IEEE Trans. Med. Imaging 20(6):490-498, doi:10.1109/42.929615.
"""

from __future__ import annotations

import numpy as np

from lungzoo.data.preprocess.parts import Parts
from lungzoo.data.preprocess.threshold import optimal_threshold

_SMALLEST_SHARE = 0.001
_SMALLEST_OF_LARGEST = 0.05
_SMALLEST_APEX = 0.003
_APEX_SLICES = 4
_CLOSING_SHARE = 0.02
_OPENING_SHARE = 0.008
# The box of a pair of lungs is a sixth to a third of a slice and half as wide; a gap in a crop seldom is.
_SMALLEST_BOX_SHARE = 0.1
_SMALLEST_WIDTH_SHARE = 0.4
_BOX_SIDE_PX = 256


def lung_mask(image: np.ndarray) -> np.ndarray:
    """Return the lung fields of a whole slice or volume.

    Dark parts within the body; the largest of them and those of at least a twentieth of it (a tumour may cut a lung in
    two); closed (so that vessels and lesions at the wall belong), holes filled slice by slice. In a volume the parts
    hang together from slice to slice, which finds the apices and leaves gas of the bowel out; a single slice cannot
    tell gas from lung. Beside the image two bytes a voxel are taken, one of them for the answer.

    Args:
        image: (H, W) or (Z, Y, X) in the order of z, in HU or 8 bits, of the whole chest: in a crop the lung reaches
            the border.

    Returns:
        bool like `image`; empty where nothing is found.
    """
    planes, threshold = np.asarray(image).reshape(-1, *np.shape(image)[-2:]), optimal_threshold(image)
    dark = np.empty(planes.shape, bool)
    for z, plane in enumerate(planes):
        bright = plane >= threshold
        dark[z] = _body(bright) & ~bright
    parts = Parts(dark)
    lungs = parts.sizes >= max(_SMALLEST_SHARE * dark[0].size, _SMALLEST_OF_LARGEST * parts.sizes.max(), 1)
    found = np.zeros(planes.shape, bool)
    for z, plane in enumerate(parts.chosen(lungs | _apices(parts))):
        if plane.any():
            found[z] = _closed(plane)
    return found.reshape(np.shape(image))


def lung_fields(image: np.ndarray) -> np.ndarray:
    """Return the lung fields as `lung_mask` does, or all of the image where what is found is no pair of lungs."""
    found = lung_mask(image)
    flat: np.ndarray = found.reshape(-1, *image.shape[-2:]).max(axis=0)
    ends = [np.flatnonzero(flat.max(axis=1 - axis))[[0, -1]] for axis in (0, 1)] if flat.any() else []
    height, width = (int(last + 1 - first) for first, last in ends) if ends else (0, 0)
    return found if _is_pair(height, width, image.shape[-2:]) else np.ones(np.shape(image), bool)


def lung_box(image: np.ndarray, margin_share: float = 0.05) -> tuple[slice, slice]:
    """Return the rows and columns of the lung fields of a slice or volume, and a margin; all if there are none.

    Args:
        image: as for `lung_mask`. A box of less than a tenth of the slice or two fifths of its width is no pair of
            lungs: so a crop stays whole. Large slices are looked at every second or third pixel.
        margin_share: of the box's sides, added on each side.
    """
    shape_yx = image.shape[-2:]
    step = -(-max(shape_yx) // _BOX_SIDE_PX)
    coarse = image[..., ::step, ::step]
    flat: np.ndarray = lung_mask(coarse).reshape(-1, *coarse.shape[-2:]).max(axis=0)
    ends = [(np.flatnonzero(flat.max(axis=1 - axis)) * step)[[0, -1]] for axis in (0, 1)] if flat.any() else []
    height, width = (int(last + step - first) for first, last in ends) if ends else (0, 0)
    if not _is_pair(height, width, shape_yx):
        return slice(0, shape_yx[0]), slice(0, shape_yx[1])
    sides = []
    for (first, last), size, side in zip(ends, (height, width), shape_yx, strict=True):
        # What lies between the pixels that were looked at may be lung too.
        margin = int(np.ceil(margin_share * size)) + step - 1
        sides.append(slice(int(max(first - margin, 0)), int(min(last + step + margin, side))))
    return sides[0], sides[1]


def _is_pair(height: int, width: int, shape_yx: tuple[int, ...]) -> bool:
    """Tell whether a box is as large as that of a pair of lungs."""
    return (
        height * width >= _SMALLEST_BOX_SHARE * shape_yx[0] * shape_yx[1]
        and width >= _SMALLEST_WIDTH_SHARE * shape_yx[1]
    )


def _apices(parts: Parts) -> np.ndarray:
    """Tell which parts of a volume are small but reach over several slices of the largest part and no others.

    So is what a tumour cuts off; gas of the bowel goes on below the lungs.
    """
    first, last = parts.ends[parts.sizes.argmax()]
    within = (parts.ends[:, 0] >= first) & (parts.ends[:, 1] <= last) & (np.diff(parts.ends)[:, 0] >= _APEX_SLICES)
    small: np.ndarray = within & (parts.sizes >= _SMALLEST_APEX * parts.sizes.max())
    return small


def _body(bright: np.ndarray) -> np.ndarray:
    """Return the largest bright part of a slice (H, W), freed of thin things that touch it (the table), and filled."""
    from scipy import ndimage

    radius = round(_OPENING_SHARE * max(bright.shape))
    if radius:
        within = ndimage.distance_transform_edt(np.pad(bright, radius, "edge")) > radius
        opened = (ndimage.distance_transform_edt(~within) <= radius)[radius:-radius, radius:-radius]
    else:
        opened = bright
    labels, count = ndimage.label(opened)
    if not count:
        return opened
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    filled: np.ndarray = ndimage.binary_fill_holes(labels == sizes.argmax())
    return filled


def _closed(plane: np.ndarray) -> np.ndarray:
    """Close a slice (H, W) by a disc of a fiftieth of its side and fill holes."""
    from scipy import ndimage

    radius = max(round(_CLOSING_SHARE * max(plane.shape)), 1)
    # Dilated and eroded by distances; beyond the border a closing sees nothing and would eat into what touches it.
    grown = ndimage.distance_transform_edt(~np.pad(plane, 2 * radius)) <= radius
    shrunk = ndimage.distance_transform_edt(grown) > radius
    closed: np.ndarray = ndimage.binary_fill_holes(shrunk[2 * radius : -2 * radius, 2 * radius : -2 * radius])
    return closed
