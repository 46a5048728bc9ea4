"""Run a model over an evaluation set, one pass, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lungzoo.data.preprocess.source import Source
from lungzoo.metrics.probabilities import named_outputs, sigmoid, softmax


@dataclass(frozen=True)
class Predictions:
    """Images, references and predictions of n cases, in the order of the evaluation set.

    Args:
        images: uint8 (n, H, W), the model's input from [0, 1] to 0..255, for overlays.
        references: bool (n, H, W).
        masks: bool (n, H, W), probability at or above the threshold.
        probabilities: float32 (n, H, W) in [0, 1]; None where they are not kept.
        labels: int (n,), number of the case's class, -1 where it has none of the classes.
        label_probabilities: float32 (n, classes) that sum to 1; None where nothing has named classes yet.
    """

    images: np.ndarray
    references: np.ndarray
    masks: np.ndarray
    probabilities: np.ndarray | None = None
    labels: np.ndarray | None = None
    label_probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


def predict(model: Any, batches: Any, threshold: float) -> Iterator[Predictions]:
    """Predict an evaluation set; probabilities of a whole one would not fit into memory, so they come by batches.

    Args:
        model: gives logits (B, H, W, 1), of a volume (B, D, H, W, 1), or a dict with those as "mask", and "label".
        batches: tf.data.Dataset of (image, mask, label), see `Pipeline.evaluation`. Of stacks and volumes the middle
            slice is the case.
        threshold: probability from which a pixel is lesion, in (0, 1).
    """
    cut = np.log(threshold / (1 - threshold))
    for image, mask, label in batches.as_numpy_iterator():
        outputs = named_outputs(model.predict_on_batch(image))
        logits = _middle(np.asarray(outputs["mask"], np.float32))
        found = Predictions(shown(image), _middle(mask) > 0, logits >= cut, sigmoid(logits), label[:, 0])
        if "label" in outputs:
            found = replace(found, label_probabilities=softmax(np.asarray(outputs["label"], np.float32)))
        yield found


def shown(image: np.ndarray) -> np.ndarray:
    """Return the middle slice of a model's input in [0, 1], (B, H, W, C) or (B, D, H, W, 1), as uint8 (B, H, W)."""
    return np.round(_middle(image) * 255).astype(np.uint8)


def pictures(batches: list[Predictions]) -> Predictions:
    """Join the batches of a set, without their probabilities and labels."""
    parts = ([getattr(batch, part) for batch in batches] for part in ("images", "references", "masks"))
    return Predictions(*(np.concatenate(part) for part in parts))


def on_own_grid(predictions: Predictions, source: Source, references: np.ndarray, rows: np.ndarray) -> Predictions:
    """Bring predictions of cropped or resampled slices back to the grid that the slices have in their dataset.

    Args:
        predictions: of the cases `rows`, in that order.
        source: what cropped and resampled them.
        references: {0, 1} (n, H, W), the masks on the slices' own grid.
        rows: row numbers in the dataset.
    """
    probabilities = predictions.probabilities
    return replace(
        predictions,
        images=np.round(source.inverse(predictions.images.astype(np.float32), rows)).astype(np.uint8),
        references=references > 0,
        masks=source.inverse(predictions.masks, rows),
        probabilities=None if probabilities is None else np.clip(source.inverse(probabilities, rows), 0, 1),
    )


def _middle(batch: np.ndarray) -> np.ndarray:
    """(B, H, W, slices) or (B, slices, H, W, 1) -> (B, H, W), the middle slice."""
    if batch.ndim == 5:
        return batch[:, batch.shape[1] // 2, :, :, 0]
    return batch[..., batch.shape[-1] // 2]
