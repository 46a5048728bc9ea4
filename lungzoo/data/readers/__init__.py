"""Dataset formats: one file each. A reader says what it will read, then yields slices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from lungzoo.data.case import Slice
from lungzoo.data.scan import Scan, check_choice, slices_of
from lungzoo.errors import ConfigError, DatasetError, ImportRefused, did_you_mean
from lungzoo.registry import Registry
from lungzoo.schema import Option


class Reader(ABC):
    """Turns a source into slices.

    `__init__` opens the source and checks its listing; it raises DatasetError for a source that is not in the format.
    Iterating yields every slice once, in a fixed order, and raises ImportRefused at the end, naming every file that was
    at fault.

    Attributes:
        title, licence, citation: of the dataset; recorded and shown.
        units: "hu" or "uint8".
        window: what is known of the intensity window, for people.
        mask_bits: name of each mask bit, one per reader.
        options: settings of the reader with their defaults; `lungzoo data import … --set KEY=VALUE`.
        patients_known: False where the source names no patients, so that each image counts as one.
        notes: what was put right on the way, for people; recorded with the dataset.
        faults: what is wrong with files already by the listing.
        done: how much of `len(self)` has been read.
    """

    title: str
    licence: str
    citation: str
    units: Literal["hu", "uint8"]
    window: str
    mask_bits: tuple[str, ...]
    options: ClassVar[Mapping[str, Option]] = {}
    patients_known: bool = True

    def __init__(self, source: Path, options: Mapping[str, Option] | None = None) -> None:
        self.source = Path(source)
        self.settings = self._checked(options or {})
        self.notes: list[str] = []
        self.faults: list[str] = []
        self.done = 0

    @abstractmethod
    def __len__(self) -> int:
        """Return how much there is to read, in slices or volumes."""

    @abstractmethod
    def __iter__(self) -> Iterator[Slice]:
        """Yield the slices."""

    @abstractmethod
    def preview(self) -> dict[str, Any]:
        """Return what would be read, for people, such as {"patients": 3, "slices": 240}; reads no pixels."""

    @cached_property
    def foreseen(self) -> list[str]:
        """The faults that show without reading pixels."""
        return list(self.faults)

    def _checked(self, given: Mapping[str, Option]) -> dict[str, Option]:
        for key, value in given.items():
            if key not in self.options:
                allowed = ", ".join(self.options) or "none"
                raise ConfigError(
                    f"This reader has no setting '{key}'.{did_you_mean(key, self.options)} Allowed: {allowed}."
                )
            if type(value) is not type(self.options[key]):
                raise ConfigError(
                    f"The reader's setting '{key}' must be like {self.options[key]!r}. Received: {value!r}"
                )
        return {**self.options, **given}


@dataclass(frozen=True)
class Entry:
    """One volume that a source holds.

    Args:
        volume: its name, unique within the source.
        patient: patient id.
        slices: how many slices it has, as far as the listing tells.
        files: what it is read from; each reader knows what it means.
    """

    volume: str
    patient: str
    slices: int
    files: Any


class ScanReader(Reader):
    """Reads a source of whole volumes, one at a time, so that memory stays flat.

    Subclasses list the volumes and read one; a volume that raises DatasetError is at fault, and the others go on.
    """

    units: Literal["hu", "uint8"] = "hu"
    window = "none: HU"
    mask_bits: tuple[str, ...] = ("lesion",)
    options: ClassVar[Mapping[str, Option]] = {"slices": "all"}

    def __init__(self, source: Path, options: Mapping[str, Option] | None = None) -> None:
        super().__init__(source, options)
        check_choice(str(self.settings["slices"]))
        self.entries = self.list_entries()
        if not self.entries and not self.faults:
            raise DatasetError(f"{self.source} holds no {self.title} volume.")

    @abstractmethod
    def list_entries(self) -> list[Entry]:
        """Return the volumes of `self.source` in a fixed order; a file at fault goes into `self.faults`."""

    @abstractmethod
    def read(self, entry: Entry) -> Scan:
        """Read one volume; raises DatasetError, which need not name the volume."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Slice]:
        faults = list(self.faults)
        for entry in self.entries:
            try:
                scan = self.read(entry)
            except DatasetError as error:
                faults.append(f"{self.file_of(entry)}: {error}")
            else:
                yield from self.slices_of(entry, scan)
                del scan  # not two at a time
            self.done += 1
        if faults:
            raise ImportRefused(str(self.source), faults)

    def file_of(self, entry: Entry) -> str:
        """Return what a fault of a volume is named by."""
        return entry.volume

    def slices_of(self, entry: Entry, scan: Scan) -> Iterator[Slice]:
        """Yield the slices that are taken of a volume."""
        return slices_of(scan, str(self.settings["slices"]))

    def preview(self) -> dict[str, Any]:
        """See `Reader.preview`."""
        choice, slices = str(self.settings["slices"]), sum(entry.slices for entry in self.entries)
        taken = {"slices": slices, "slices taken": "all"}
        if choice != "all":
            taken = {"slices": f"at most {slices}", "slices taken": f"{choice}; how many, the masks tell"}
        return {
            "patients": len({entry.patient for entry in self.entries}),
            "volumes": len(self.entries),
            **taken,
            "faulty": len(self.foreseen),
        }


READERS: Registry[type[Reader]] = Registry("reader", "lungzoo.data.readers", see="lungzoo list readers")
