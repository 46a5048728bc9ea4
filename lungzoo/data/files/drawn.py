"""How many masks of a source have a lesion, and whether the value that means one occurs at all."""

from __future__ import annotations

import numpy as np

from lungzoo.errors import DatasetError

_SHOWN = 5


class Drawn:
    """Counts masks as they are read.

    Args:
        lesion: the value that is lesion, everything else being background; 0 where masks are 0/1 or 0/255.
    """

    def __init__(self, lesion: int = 0) -> None:
        self._lesion = lesion
        self._values: set[float] = set()
        self.masks = 0
        self.empty = 0

    def add(self, stored: np.ndarray, mask: np.ndarray) -> None:
        """Count one mask: the numbers of its file, and what became of them."""
        self.masks += 1
        if mask.any():
            return
        self.empty += 1
        if self._lesion and len(self._values) < _SHOWN:
            self._values |= set(np.unique(stored).tolist())

    def notes(self, source: str) -> list[str]:
        """Return what is to be noted once all are read.

        Raises:
            DatasetError: the value that is lesion is in no mask.
        """
        if not self.empty:
            return []
        if self.empty < self.masks:
            return [f"{self.empty} of {self.masks} mask(s) are empty: slices or volumes without a lesion"]
        if self._lesion:
            values = sorted(self._values)
            held = ", ".join(f"{value:g}" for value in values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
            raise DatasetError(
                f"{source}: mask_value={self._lesion} is in none of its {self.masks} mask(s); they hold {held}. Set "
                "mask_value to the value that is lesion."
            )
        return [f"all {self.masks} mask(s) are empty: the dataset has no lesion"]
