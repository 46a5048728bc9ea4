"""How the model agrees with each radiologist, and they with one another, in the position in which a case is scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from lungzoo.data.augment.move import fixed_shifts, move
from lungzoo.data.store import PreparedDataset
from lungzoo.metrics.agreement import agreement, reader_masks

if TYPE_CHECKING:
    import pandas as pd


def reader_agreement(
    masks: np.ndarray, dataset: PreparedDataset, rows: np.ndarray, min_readers: int, shift_px: int, seed: int
) -> pd.DataFrame:
    """Return a row per case: agreement_readers, agreement_model_readers and so on, see `lungzoo.metrics.agreement`.

    Args:
        masks: bool (n, H, W), predictions.
        dataset: the opened dataset; its masks have a bit per reader.
        rows: row numbers of the cases.
        min_readers: readers who make the consensus.
        shift_px, seed: the cases are shifted as `Pipeline.evaluation` shifts them.
    """
    import pandas as pd

    bits = moved_bits(dataset, rows, shift_px, seed)
    readers = len(dataset.mask_bits)
    found = [
        asdict(agreement(reader_masks(drawn, readers), mask, min_readers))
        for drawn, mask in zip(bits, masks, strict=True)
    ]
    return pd.DataFrame(found).add_prefix("agreement_")


def moved_bits(dataset: PreparedDataset, rows: np.ndarray, shift_px: int, seed: int) -> np.ndarray:
    """Return uint8 (n, H, W), a bit per reader, shifted as `Pipeline.evaluation` shifts the cases."""
    bits = np.asarray(dataset.masks[rows])
    if not shift_px:
        return bits
    import tensorflow as tf

    shifts = fixed_shifts(dataset.cases["case"].iloc[rows].tolist(), seed, shift_px)
    moved: np.ndarray = move(tf.constant(bits), tf.constant(shifts), tf.zeros(shifts.shape, tf.bool)).numpy()
    return moved
