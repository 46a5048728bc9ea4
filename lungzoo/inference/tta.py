"""Test-time augmentation: the mean answer for an input and its mirror images."""

from __future__ import annotations

from itertools import product

import numpy as np

from lungzoo.inference.batches import Answers, Model


def with_flips(model: Model) -> Model:
    """Return a model that sees each input as it is and mirrored along y, x and both: four times the work.

    Source: Simonyan and Zisserman 2015, arXiv:1409.1556, section 3.2, who average over mirror images.
    """

    def answer(batch: np.ndarray) -> Answers:
        masks, labels = [], []
        for flip_y, flip_x in product((False, True), repeat=2):
            axes = tuple(axis for axis, flip in ((-2, flip_y), (-1, flip_x)) if flip)
            # The input has its channels last, the answer has none.
            mask, label = model(np.ascontiguousarray(np.flip(batch, tuple(axis - 1 for axis in axes))))
            masks.append(np.flip(mask, axes))
            labels += [] if label is None else [label]
        return np.mean(masks, axis=0), np.mean(labels, axis=0) if labels else None

    return answer
