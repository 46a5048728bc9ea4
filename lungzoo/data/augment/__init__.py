"""Random changes of a batch, on image and mask together, from numbers drawn beforehand.

`draws.py` draws, as a function of (seed, epoch, place in the epoch's list of cases) alone, so that a resumed run sees
exactly the batches that an uninterrupted one would. The operations draw nothing: `move.py` and `warp.py` (geometry),
`intensity.py` (grey values), `mix.py` (between cases). `augmentation.py` puts them in order.
"""

from lungzoo.data.augment.augmentation import Augmentation
from lungzoo.data.augment.intensity import change_intensity
from lungzoo.data.augment.move import fixed_shifts, move

__all__ = ["Augmentation", "change_intensity", "fixed_shifts", "move"]
