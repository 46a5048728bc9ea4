"""What the radiologists of LIDC-IDRI drew: their XML, read without trusting it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.errors import DatasetError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 16 * 2**20
MAX_NODULES, MAX_OUTLINES, MAX_POINTS = 500, 5_000, 200_000
MAX_TAGS = 2_000_000
_MAX_PX = 4096
_READ, _CHEST_X_RAY = "LidcReadMessage", "IdriReadMessage"


@dataclass(frozen=True)
class Outline:
    """The border that a radiologist drew around a nodule, or around a hole in it, on one slice.

    Args:
        sop_uid: SOPInstanceUID of the slice.
        z_mm: its position.
        inclusion: False for a hole.
        points_px: (n, 2) int, (x, y) of the pixels just outside the nodule.
    """

    sop_uid: str
    z_mm: float
    inclusion: bool
    points_px: np.ndarray


@dataclass(frozen=True)
class Nodule:
    """One nodule of one radiologist; `malignancy` is 1 to 5, NaN where not given."""

    name: str
    malignancy: float
    outlines: list[Outline]


@dataclass(frozen=True)
class Reading:
    """One XML file: the CT series it is about, and per radiologist the nodules of 3 mm or more.

    Args:
        series_uid: SeriesInstanceUID, "" for the readings of chest X-rays.
        sessions: the nodules of each radiologist.
        small: how many nodules below 3 mm, marked by a point, were ignored.
    """

    series_uid: str
    sessions: list[list[Nodule]] = field(default_factory=list)
    small: int = 0


def read_xml(data: bytes) -> Reading:
    """Parse one file of readings.

    Marks of findings that are no nodules are ignored, and so are nodules of which every outline is a single point.

    Raises:
        DatasetError: it is not such a file, is damaged, or declares entities.
    """
    root = _parse(data)
    name = _local(root)
    if name == _CHEST_X_RAY:
        return Reading("")
    if name != _READ:
        raise DatasetError(f"is no LIDC reading: its root is <{name[:40]}>, expected <{_READ}>")
    header = _child(root, "ResponseHeader")
    uid = "" if header is None else _text(header, "SeriesInstanceUid") or _text(header, "SeriesInstanceUID")
    if not uid:
        raise DatasetError("names no SeriesInstanceUid")
    sessions: list[list[Nodule]] = []
    small = 0
    for session in _children(root, "readingSession"):
        nodules = [_nodule(item) for item in _children(session, "unblindedReadNodule")]
        drawn = [nodule for nodule in nodules if any(len(outline.points_px) > 1 for outline in nodule.outlines)]
        small += len(nodules) - len(drawn)
        sessions.append(drawn)
    outlines = [outline for session in sessions for nodule in session for outline in nodule.outlines]
    _check_limit(sum(map(len, sessions)), MAX_NODULES, "nodules")
    _check_limit(len(outlines), MAX_OUTLINES, "outlines")
    _check_limit(sum(len(outline.points_px) for outline in outlines), MAX_POINTS, "points")
    return Reading(uid, sessions, small)


def _parse(data: bytes) -> Element:
    from xml.etree import ElementTree

    if len(data) > MAX_BYTES or data.count(b"<") > MAX_TAGS:
        raise DatasetError(f"is {len(data):,} bytes of XML, more than the {MAX_BYTES:,} allowed")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DatasetError("is not UTF-8") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError("declares a document type or entities, which no LIDC file does")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"is not sound XML: {error}") from None


def _check_limit(count: int, allowed: int, what: str) -> None:
    if count > allowed:
        raise DatasetError(f"has {count:,} {what}, more than the {allowed:,} allowed")


def _nodule(item: Element) -> Nodule:
    name = _text(item, "noduleID") or "(no id)"
    traits = _child(item, "characteristics")
    malignancy = math.nan
    if traits is not None and _text(traits, "malignancy"):
        malignancy = _number(traits, "malignancy", name)
        if malignancy not in (1, 2, 3, 4, 5):
            raise DatasetError(f"nodule {name}: malignancy is {malignancy:g}, expected 1 to 5")
    return Nodule(name, malignancy, [_outline(roi, name) for roi in _children(item, "roi")])


def _outline(roi: Element, name: str) -> Outline:
    inclusion = _text(roi, "inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise DatasetError(f"nodule {name}: inclusion is '{inclusion[:20]}', expected TRUE or FALSE")
    points = [(_number(edge, "xCoord", name), _number(edge, "yCoord", name)) for edge in _children(roi, "edgeMap")]
    array = np.array(points, float).reshape(-1, 2)
    if not len(array):
        raise DatasetError(f"nodule {name}: an outline has no points")
    if (array != np.rint(array)).any() or (array < 0).any() or (array >= _MAX_PX).any():
        raise DatasetError(f"nodule {name}: an outline has points that are no pixels")
    z_mm = _number(roi, "imageZposition", name)
    return Outline(_text(roi, "imageSOP_UID"), z_mm, inclusion == "TRUE", array.astype(np.int64))


def _number(parent: Element, tag: str, name: str) -> float:
    text = _text(parent, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"nodule {name}: {tag} is '{text[:20]}', expected a number")
    return value


def _text(parent: Element, tag: str) -> str:
    child = _child(parent, tag)
    return "" if child is None else (child.text or "").strip()


def _child(parent: Element, tag: str) -> Element | None:
    return next(iter(_children(parent, tag)), None)


def _children(parent: Element, tag: str) -> list[Element]:
    return [child for child in parent if _local(child) == tag]


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
