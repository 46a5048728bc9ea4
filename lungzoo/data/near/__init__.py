"""Near-duplicates: slices that show the same picture moved, mirrored, re-windowed or compressed again."""

from lungzoo.data.near.search import METHOD, NearPair, Pictures, find_near

__all__ = ["METHOD", "NearPair", "Pictures", "find_near"]
