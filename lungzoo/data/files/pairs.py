"""Which file is whose mask, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lungzoo.data.natural import natural

LAYOUT = (
    "images/<name> and masks/<name>, or <name> and <name>_mask beside each other, or a folder with one image and a "
    "file called mask; .png, .tif, .npy, .nii or .nii.gz"
)
_NAME = re.compile(r"(?P<folder>(?:.*/)?)(?P<stem>[^/]+?)(?P<suffix>\.nii\.gz|\.nii|\.png|\.tiff?|\.npy)", re.I | re.S)
_MASK = re.compile(r"(.+)[_-]mask", re.I | re.S)


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Args:
        key: what the two are called: their common path without `images/`, `masks/`, `_mask` and the ending.
        image: name of the image's file.
        mask: name of the mask's file, "" without one.
    """

    key: str
    image: str
    mask: str = ""


def find_pairs(names: Iterable[str], masks_may_lack: bool = False) -> tuple[list[Pair], list[str]]:
    """Sort file names into pairs.

    Args:
        names: relative paths with forward slashes; files of other kinds are passed over.
        masks_may_lack: an image without a mask is a pair as well, and no fault.

    Returns:
        The pairs in natural order of their keys, and what is wrong with the rest.
    """
    faults: list[str] = []
    images, masks, lone = _sorted_out(names, faults)
    renamed = _match_lone_masks(images, masks, lone, faults)
    faults += [f"{name}: is a mask without an image" for key, name in sorted(masks.items()) if key not in images]
    if not masks_may_lack:
        faults += [f"{name}: has no mask" for key, name in sorted(images.items()) if key not in masks]
    pairs = [
        Pair(renamed.get(key, key), name, masks.get(key, ""))
        for key, name in images.items()
        if key in masks or masks_may_lack
    ]
    return sorted(pairs, key=lambda pair: natural(pair.key)), faults


def _sorted_out(names: Iterable[str], faults: list[str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return images and masks by key, and files called mask by their folder."""
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    lone: dict[str, str] = {}
    for name in sorted(names):
        match = _NAME.fullmatch(name)
        if not match:
            continue
        folders = match["folder"].split("/")[:-1]
        kinds = [folder.lower() for folder in folders]
        marked = next((i for i in reversed(range(len(kinds))) if kinds[i] in ("images", "masks")), None)
        stem, is_mask = match["stem"], marked is not None and kinds[marked] == "masks"
        if marked is not None:
            del folders[marked]
        if marked is None and stem.lower() == "mask":
            kind, key = lone, "/".join(folders)
        else:
            ending = _MASK.fullmatch(stem)
            if ending and (is_mask or marked is None):
                stem, is_mask = ending[1], True
            kind, key = masks if is_mask else images, "/".join([*folders, stem])
        first = kind.setdefault(key, name)
        if first != name:
            faults.append(f"{name}: has the name of {first}, so it is not clear which of the two is meant")
    return images, masks, lone


def _match_lone_masks(
    images: dict[str, str], masks: dict[str, str], lone: dict[str, str], faults: list[str]
) -> dict[str, str]:
    """Give each file called mask to the one image of its folder; returns new names for images: their folder's."""
    renamed = {}
    for folder, name in lone.items():
        beside = [key for key in images if key.rpartition("/")[0] == folder and key not in masks]
        if len(beside) != 1:
            faults.append(f"{name}: lies beside {len(beside)} images; expected one, or masks called <image>_mask")
            continue
        masks[beside[0]] = name
        if folder:
            renamed[beside[0]] = folder
    return renamed
