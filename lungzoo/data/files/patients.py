"""Whose image a file is, by a table, its folder or its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from lungzoo.data.files import case_table
from lungzoo.data.files.case_table import CaseRow
from lungzoo.errors import ConfigError, DatasetError, did_you_mean

_WORDS = ("auto", "csv", "file")
_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")


@dataclass(frozen=True)
class Owner:
    """Whose image it is.

    Args:
        patient: patient id, "" where nothing says it.
        volume: name of the volume.
        z: index of a single slice within its volume, None of a whole volume.
        guessed: nothing but the file itself stands for the patient.
        by_folder: the first folder stands for the patient.
    """

    patient: str
    volume: str
    z: int | None
    guessed: bool = False
    by_folder: bool = False


class Owners:
    """Says whose image a file is.

    Args:
        rule: "auto" (the table, else the first folder below those that all share, else every volume is a patient),
            "csv", "file" (every file is a patient), or a regular expression with a group.
        keys: paths of all images, without an ending; the folders that several of them share say nothing of patients.

    Raises:
        ConfigError: the expression does not compile, or has no group.
    """

    def __init__(self, rule: str, keys: Iterable[str] = ()) -> None:
        self._rule = rule
        self._pattern = None if rule in _WORDS else _compiled(rule)
        folders = [key.split("/")[:-1] for key in keys]
        self._shared = (
            sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False)))
            if len(folders) > 1
            else 0
        )

    def of(self, key: str, row: CaseRow, is_volume: bool) -> Owner:
        """Return whose image it is.

        Args:
            key: its path without an ending.
            row: what the table says of it.
            is_volume: it has several slices.

        Raises:
            DatasetError: the expression does not fit, or `z` is given for a whole volume.
        """
        patient, volume, z, guessed, by_folder = row.patient, row.volume, row.z, False, False
        if self._pattern:
            patient, volume, z = self._by_name(self._pattern, key, row)
        elif self._rule == "file":
            patient = key
        elif self._rule == "auto" and not patient:
            *folders, _ = key.split("/")[self._shared :]
            by_folder, guessed = bool(folders), is_volume and not folders
            patient = folders[0] if folders else key if is_volume else ""
        if is_volume and z is not None:
            raise DatasetError("z is for single slices, and this is a volume")
        return Owner(patient, volume or key, None if is_volume else z or 0, guessed, by_folder)

    @staticmethod
    def _by_name(pattern: re.Pattern[str], key: str, row: CaseRow) -> tuple[str, str, int | None]:
        found = pattern.search(key)
        if not found or not found[1]:
            raise DatasetError(f"patients='{pattern.pattern}' finds no patient in '{key}'")
        groups = {name: value for name, value in found.groupdict().items() if value}
        patient, z = groups.get("patient", found[1]), groups.get("z", "")
        if z and not (z.isascii() and z.isdecimal() and len(z) < 10):
            raise DatasetError(f"patients='{pattern.pattern}' finds z '{z}' in '{key}'; expected a whole number")
        volume = groups.get("volume", row.volume or (patient if z else ""))
        return patient, volume, int(z) if z else row.z


def nobody(source: str, example: str, count: int, table: str = "", columns: Iterable[str] = ()) -> DatasetError:
    """Return the error for images of which nothing says whose they are.

    Args:
        source: folder or archive.
        example: one of the images.
        count: how many they are.
        table: path of the table, "" without one.
        columns: those of its columns that have no meaning of their own.
    """
    give = f"Give a {case_table.NAME} with the columns image and patient"
    if table:
        give = f"Its {table} gives none in the column patient.{_meant(columns)} Fill that column"
    return DatasetError(
        f"{source} does not say which patient {count} of its images belong to, such as {example}; slices of one "
        f"patient must not fall into two splits. {give}; or a regular expression for the names, such as --set "
        "patients='^([^_]+)_'; or, if every file is another patient, --set patients=file"
    )


def _meant(columns: Iterable[str]) -> str:
    column = next((name for name in columns if did_you_mean(name, ["patient"])), "")
    return f" Is its column '{column}' meant?" if column else ""


def check_folders(source: str, folders: Iterable[str]) -> None:
    """Raise DatasetError where folders that stand for patients are named as splits are."""
    splits = sorted({folder for folder in folders if folder.lower() in _SPLITS})
    if splits:
        raise DatasetError(
            f"{source} has its images in folders named {', '.join(splits)}, which are no patients, and nothing else "
            f"says whose they are. Give a {case_table.NAME} with the columns image and patient; or a regular "
            "expression for the names, such as --set patients='([^/_]+)_[^/]*$'; or, if every file is another "
            "patient, --set patients=file"
        )


def _compiled(rule: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ConfigError(f"patients is not a regular expression: {error}. Received: '{rule}'") from None
    if not pattern.groups:
        raise ConfigError(
            f"patients must be {', '.join(_WORDS)}, or a regular expression with a group. Received: '{rule}'"
        )
    return pattern
