"""Dataset formats: one file each. A reader says what it will read, then yields slices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from lungzoo.data.case import Slice
from lungzoo.registry import Registry


class Reader(Protocol):
    """Turns a source into slices.

    `__init__` opens the source and checks its listing; it raises ImportRefused or DatasetError for a source
    that is not in the format. Iterating yields every slice once, in a fixed order, and raises ImportRefused at the
    end, naming every file that was at fault.
    """

    title: str
    licence: str
    citation: str
    units: Literal["hu", "uint8"]
    window: str
    """What is known of the intensity window, for people."""
    mask_bits: tuple[str, ...]
    """Name of each mask bit: one per reader."""

    def __init__(self, source: Path) -> None: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Slice]: ...


READERS: Registry[type[Reader]] = Registry("reader", "lungzoo.data.readers", see="lungzoo list readers")
