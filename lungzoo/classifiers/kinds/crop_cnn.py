"""A small convolutional network on the crop around the marked lesion, image and mask as two channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import ClassifierSpec, Examples, Lesion
from lungzoo.classifiers.crops import MARGIN_PX, changed, crop_of, middle
from lungzoo.errors import DivergedError
from lungzoo.metrics.classification import log_loss
from lungzoo.schema import Option

_MOST_CROPS, _BATCH_BYTES = 256, 2**26
"""Crops at once: as many as the first, widest layer has room for."""


def describe(lesion: Lesion, options: Mapping[str, Option]) -> np.ndarray:
    """Return float32 (side, side, 2), the crop with a margin."""
    return crop_of(lesion, int(options["crop_px"]))


def fit(train: Examples, val: Examples, classes: int, options: Mapping[str, Option], seed: int) -> CropCnn:
    """Train with AdamW and keep the epoch with the best validation cross-entropy, the last one without validation.

    The order of an epoch and its changes are functions of (seed, epoch), as in the first stage.

    Raises:
        DivergedError: the loss is no number any more.
    """
    import keras

    keras.utils.set_random_seed(seed)  # a run that goes on after a stop starts this stage with the same weights
    model = build(int(options["crop_px"]), classes, int(options["width"]))
    epochs, size = int(options["epochs"]), min(int(options["batch_size"]), len(train))
    steps = max(len(train) // size, 1)
    rate = keras.optimizers.schedules.CosineDecay(float(options["learning_rate"]), epochs * steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-2), loss)
    fitted, best, least = CropCnn(model), model.get_weights(), np.inf
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(train))[: steps * size]
        shown = changed(train.inputs[order], rng), train.labels[order]
        _check(epoch, model.fit(*shown, batch_size=size, shuffle=False, verbose=0).history["loss"][-1])
        reached = log_loss(val.labels, fitted.probabilities(val.inputs)) if len(val) else -epoch
        if reached < least:
            best, least = model.get_weights(), reached
    model.set_weights(best)
    return fitted


def restore(arrays: Mapping[str, np.ndarray], classes: int, options: Mapping[str, Option]) -> CropCnn:
    """Return the network with the weights that `CropCnn.arrays` returned."""
    from lungzoo.weights.fit import apply_weights

    model = build(int(options["crop_px"]), classes, int(options["width"]))
    apply_weights(model, arrays)
    return CropCnn(model)


def build(crop_px: int, classes: int, width: int) -> Any:
    """Return the network: (None, crop_px, crop_px, 2) in [0, 1] -> logits (None, classes)."""
    import keras

    crop = keras.Input((crop_px, crop_px, 2), name="crop")
    features = crop
    for level, channels in enumerate((width, 2 * width, 4 * width)):
        features = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv_{level}")(features)
        features = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{level}")(features)
        features = keras.layers.ReLU(name=f"relu_{level}")(features)
        features = keras.layers.MaxPooling2D(2, name=f"pool_{level}")(features)
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(features)
    most = keras.layers.GlobalMaxPooling2D(name="most")(features)
    joined = keras.layers.Dropout(0.3, name="drop")(keras.layers.Concatenate(name="joined")([mean, most]))
    # In float32 under mixed precision, too.
    return keras.Model(crop, keras.layers.Dense(classes, dtype="float32", name="label")(joined), name="crop_cnn")


def _check(epoch: int, loss: float) -> None:
    if not np.isfinite(loss):
        raise DivergedError(
            f"The second stage 'crop_cnn' went wrong in epoch {epoch + 1}: its loss is {loss}. "
            "Lower learning_rate in classify.options."
        )


class CropCnn:
    """A trained network on crops."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        from scipy.special import softmax

        crops = middle(inputs)
        _, height, width, channels = self._model.layers[1].output.shape
        size = max(1, min(_MOST_CROPS, _BATCH_BYTES // (4 * height * width * channels)))
        parts = [self._logits(crops[start : start + size]) for start in range(0, len(crops), size)]
        return softmax(np.concatenate(parts).astype(np.float32), axis=1)

    def _logits(self, crops: np.ndarray) -> np.ndarray:
        """Fill a batch up to a power of two: each new size would be compiled anew."""
        more = (1 << (len(crops) - 1).bit_length()) - len(crops)
        filled = np.concatenate([crops, np.repeat(crops[-1:], more, axis=0)])
        return np.asarray(self._model.predict_on_batch(filled))[: len(crops)]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return its weights."""
        from lungzoo.weights.file import weights_of

        return weights_of(self._model)


CLASSIFIERS.add(
    "crop_cnn",
    ClassifierSpec(
        name="crop_cnn",
        title="A small convolutional network on the crop around the marked lesion and its mask",
        options={"crop_px": 48, "width": 16, "epochs": 30, "batch_size": 32, "learning_rate": 2e-3},
        describe=describe,
        fit=fit,
        restore=restore,
        least={"crop_px": 8},  # it is halved three times
        most={"crop_px": 256, "width": 128, "epochs": 10_000, "batch_size": 4096},
        reach=lambda options: int(options["crop_px"]) + 2 * MARGIN_PX,
    ),
)
