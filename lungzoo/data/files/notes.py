"""Gathers what is noted of each volume into one line per remark."""

from __future__ import annotations

from collections.abc import Iterable


class NoteBook:
    """Keeps a list of lines up to date: the remark, the first volume it was made of, and of how many others.

    Args:
        lines: the list, which others may already hold.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._seen: dict[str, tuple[int, str, int]] = {}

    def add(self, volume: str, remarks: Iterable[str]) -> None:
        """Note remarks on one volume."""
        for remark in remarks:
            at, first, count = self._seen.get(remark, (len(self._lines), volume, 0))
            self._seen[remark] = at, first, count + 1
            others = f" and {count} more" if count else ""
            line = f"{first}{others}: {remark}"
            if count:
                self._lines[at] = line
            else:
                self._lines.append(line)
