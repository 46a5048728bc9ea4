"""Whose image a file is, by a table, its folder or its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lungzoo.data.files import case_table
from lungzoo.data.files.case_table import CaseRow
from lungzoo.errors import ConfigError, DatasetError

_WORDS = ("auto", "csv", "file")


@dataclass(frozen=True)
class Owner:
    """Whose image it is.

    Args:
        patient: patient id, "" where nothing says it.
        volume: name of the volume.
        z: index of a single slice within its volume, None of a whole volume.
        guessed: nothing but the file itself stands for the patient.
    """

    patient: str
    volume: str
    z: int | None
    guessed: bool = False


class Owners:
    """Says whose image a file is.

    Args:
        rule: "auto" (the table, else the first folder, else every volume is a patient), "csv", "file" (every file is a
            patient), or a regular expression with a group.

    Raises:
        ConfigError: the expression does not compile, or has no group.
    """

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._pattern = None if rule in _WORDS else _compiled(rule)

    def of(self, key: str, row: CaseRow, is_volume: bool) -> Owner:
        """Return whose image it is.

        Args:
            key: its path without an ending.
            row: what the table says of it.
            is_volume: it has several slices.

        Raises:
            DatasetError: the expression does not fit, or `z` is given for a whole volume.
        """
        patient, volume, z, guessed = row.patient, row.volume, row.z, False
        if self._pattern:
            patient, volume, z = self._by_name(self._pattern, key, row)
        elif self._rule == "file":
            patient = key
        elif self._rule == "auto" and not patient:
            folder, slash, _ = key.partition("/")
            guessed = is_volume and not slash
            patient = folder if slash else key if is_volume else ""
        if is_volume and z is not None:
            raise DatasetError("z is for single slices, and this is a volume")
        return Owner(patient, volume or key, None if is_volume else z or 0, guessed)

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


def nobody(source: str, example: str, count: int) -> DatasetError:
    """Return the error for images of which nothing says whose they are."""
    return DatasetError(
        f"{source} does not say which patient {count} of its images belong to, such as {example}; slices of one "
        f"patient must not fall into two splits. Give a {case_table.NAME} with the columns image and patient; or a "
        "regular expression for the names, such as --set patients='^([^_]+)_'; or, if every file is another patient, "
        "--set patients=file"
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
