"""Natural order of names."""

from __future__ import annotations

import re


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts patient-9 before patient-10; numbers before words."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)
