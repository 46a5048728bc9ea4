"""Where several radiologists drew: how well they agree with one another, and the model with them, on the same case.

No model can be expected to agree with radiologists better than they do: `readers_pairwise` is the ceiling for
`model_readers`, and `reader_rest` for `model_rest`, as both compare with the same majorities.

Answers for readers who drew nothing: they take no part, unless `count_silent`; then their empty mask counts like any
other, has Dice 0 with whoever drew, and none with another empty mask. Where too few readers are left an answer is NaN:

| field            | of                                              | readers needed | model needed |
|------------------|-------------------------------------------------|----------------|--------------|
| model_readers    | model with each reader                          | 1              | yes          |
| model_consensus  | model with the consensus of the readers         | 1              | yes          |
| readers_pairwise | each reader with each other                     | 2              | no           |
| reader_rest      | each reader with the majority of the others     | 3              | no           |
| model_rest       | model with the same majorities                  | 3              | yes          |

An empty prediction has Dice 0 with whoever drew, and none with an empty consensus. Where nobody drew all are NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lungzoo.errors import UsageError
from lungzoo.metrics.overlap import overlap


@dataclass(frozen=True)
class Agreement:
    """Mean Dice of one case, each in [0, 1] or NaN.

    Args:
        readers: how many take part.
        model_readers, model_consensus, readers_pairwise, reader_rest, model_rest: see the module.
    """

    readers: int
    model_readers: float
    model_consensus: float
    readers_pairwise: float
    reader_rest: float
    model_rest: float


def reader_masks(bits: np.ndarray, readers: int) -> np.ndarray:
    """Return bool (readers, …): the mask of each reader.

    Args:
        bits: unsigned integers of any shape, bit i set where reader i drew.
        readers: number of readers, from 1 to the number of bits.

    Raises:
        UsageError: not unsigned integers, or bits set beyond the readers.
    """
    bits = np.asarray(bits)
    if not np.issubdtype(bits.dtype, np.unsignedinteger) or not 1 <= readers <= 8 * bits.itemsize:
        raise UsageError(
            f"Readers are bits of unsigned integers. Received: {readers} readers in {bits.dtype}. "
            "Take the masks and the number of mask bits of a prepared dataset."
        )
    if bits.size and int(bits.max()) >= 2**readers:
        raise UsageError(f"A mask has bits of more than {readers} readers. Received: {bits.max()} as largest value.")
    return np.stack([(bits >> bits.dtype.type(reader)) & bits.dtype.type(1) > 0 for reader in range(readers)])


def consensus_of(masks: np.ndarray, min_readers: int) -> np.ndarray:
    """Return bool: the pixels that at least `min_readers` readers drew, or all of them where there are fewer.

    Args:
        masks: bool (readers, …).
        min_readers: 1 or more.
    """
    agreed: np.ndarray = np.count_nonzero(masks, axis=0) >= min(min_readers, len(masks))
    return agreed


def agreement(
    masks: np.ndarray, prediction: np.ndarray | None = None, min_readers: int = 2, count_silent: bool = False
) -> Agreement:
    """Compare the readers of a case with one another and with a prediction.

    Args:
        masks: bool (readers, …), one mask per reader, from `reader_masks`.
        prediction: bool (…); None leaves the answers about the model NaN.
        min_readers: readers who make the consensus, out of all masks given, as the training masks do; 1 or more.
        count_silent: whether readers who drew nothing take part.

    Raises:
        UsageError: masks that are not boolean or differ in shape, or `min_readers` below 1.
    """
    _check(masks, prediction, min_readers)
    part = masks if count_silent and masks.any() else masks[masks.reshape(len(masks), -1).any(axis=1)]
    rests = _majorities_of_the_others(part)
    pairs = [(part[one], part[other]) for one, other in combinations(range(len(part)), 2)]
    modelled = [] if prediction is None else [prediction]
    agreed = [consensus_of(masks, min_readers)] if len(part) else []
    return Agreement(
        len(part),
        model_readers=_mean_dice((reader, model) for model in modelled for reader in part),
        model_consensus=_mean_dice((mask, model) for model in modelled for mask in agreed),
        readers_pairwise=_mean_dice(pairs),
        reader_rest=_mean_dice(zip(rests, part, strict=False)),
        model_rest=_mean_dice((rest, model) for model in modelled for rest in rests),
    )


def _majorities_of_the_others(masks: np.ndarray) -> list[np.ndarray]:
    """Return for each reader the pixels that at least half of the others drew; nothing for fewer than three readers."""
    if len(masks) < 3:
        return []
    votes = np.count_nonzero(masks, axis=0)
    return [2 * (votes - mask) >= len(masks) - 1 for mask in masks]


def _mean_dice(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    values = [overlap(reference, mask).dice for reference, mask in pairs]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _check(masks: np.ndarray, prediction: np.ndarray | None, min_readers: int) -> None:
    if masks.dtype != bool or masks.ndim < 2 or not len(masks):
        raise UsageError(
            f"Readers' masks must be boolean, (readers, …). Received: {masks.dtype} {masks.shape}. "
            "Split the bits of a dataset's mask with reader_masks."
        )
    if prediction is not None and (prediction.dtype != bool or prediction.shape != masks.shape[1:]):
        raise UsageError(
            f"The prediction must be boolean and of the masks' shape {masks.shape[1:]}. "
            f"Received: {prediction.dtype} {prediction.shape}."
        )
    if min_readers < 1:
        raise UsageError(f"A consensus needs at least one reader. Received: min_readers={min_readers}.")
