"""Run a model over an evaluation set, one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lungzoo.data.preprocess.source import Source


@dataclass(frozen=True)
class Predictions:
    """Images, references and predictions of n cases, in the order of the evaluation set.

    Args:
        images: uint8 (n, H, W), the model's input from [0, 1] to 0..255, for overlays.
        references: bool (n, H, W).
        masks: bool (n, H, W), probability at or above the threshold.
        labels: int (n,), number of the case's class, -1 where it has none of the classes; None without a label head.
        label_probabilities: float32 (n, classes) that sum to 1; None without a label head.
    """

    images: np.ndarray
    references: np.ndarray
    masks: np.ndarray
    labels: np.ndarray | None = None
    label_probabilities: np.ndarray | None = None


def predict(model: Any, batches: Any, threshold: float) -> Predictions:
    """Predict every case of an evaluation set.

    Args:
        model: gives logits (B, H, W, 1), of a volume (B, D, H, W, 1), or a dict with those as "mask", and "label".
        batches: tf.data.Dataset of (image, mask, label), see `Pipeline.evaluation`. Of stacks and volumes the middle
            slice is the case.
        threshold: probability from which a pixel is lesion, in (0, 1).
    """
    cut = np.log(threshold / (1 - threshold))
    images, references, masks, labels, label_logits = [], [], [], [], []
    for image, mask, label in batches.as_numpy_iterator():
        outputs = model.predict_on_batch(image)
        outputs = outputs if isinstance(outputs, dict) else {"mask": outputs}
        images.append(np.round(_middle(image) * 255).astype(np.uint8))
        references.append(_middle(mask) > 0)
        masks.append(_middle(np.asarray(outputs["mask"])) >= cut)
        if "label" in outputs:
            labels.append(label[:, 0])
            label_logits.append(np.asarray(outputs["label"], np.float32))
    found = Predictions(np.concatenate(images), np.concatenate(references), np.concatenate(masks))
    if not labels:
        return found
    return replace(found, labels=np.concatenate(labels), label_probabilities=_softmax(np.concatenate(label_logits)))


def on_own_grid(predictions: Predictions, source: Source, references: np.ndarray, rows: np.ndarray) -> Predictions:
    """Bring predictions of cropped or resampled slices back to the grid that the slices have in their dataset.

    Args:
        predictions: of the cases `rows`, in that order.
        source: what cropped and resampled them.
        references: {0, 1} (n, H, W), the masks on the slices' own grid.
        rows: row numbers in the dataset.
    """
    return replace(
        predictions,
        images=np.round(source.inverse(predictions.images.astype(np.float32), rows)).astype(np.uint8),
        references=references > 0,
        masks=source.inverse(predictions.masks, rows),
    )


def _middle(batch: np.ndarray) -> np.ndarray:
    """(B, H, W, slices) or (B, slices, H, W, 1) -> (B, H, W), the middle slice."""
    if batch.ndim == 5:
        return batch[:, batch.shape[1] // 2, :, :, 0]
    return batch[..., batch.shape[-1] // 2]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
