"""How numbers read, shared by every rendering and by the sentences under a table."""

from __future__ import annotations

import math

# A rate over fewer lesion-free slices is not shown beside means over hundreds of others.
MIN_EMPTY = 5


def number(value: float, digits: int = 3) -> str:
    """Return a fixed number of decimals, 0 without a sign, or a dash for NaN."""
    return f"{value:z.{digits}f}" if math.isfinite(value) else "–"


def p_value(p: float) -> str:
    """Return "= 0.013", or "< 0.001" for what three decimals would call 0."""
    return "< 0.001" if p < 0.001 else f"= {number(p)}"


def with_interval(figure: dict[str, float], digits: int = 3) -> str:
    """Return "0.712 [0.640, 0.780]", without brackets where there is no interval."""
    ends = (figure["low"], figure["high"])
    interval = f" [{number(ends[0], digits)}, {number(ends[1], digits)}]" if all(map(math.isfinite, ends)) else ""
    return number(figure["mean"], digits) + interval


def duration(seconds: float) -> str:
    """Return "48 s", "3 m 20 s" or "2 h 05 m"."""
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
