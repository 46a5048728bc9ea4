"""Networks made by hand, whose gradients can be worked out on paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.explain.contract import Subject
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.inference.protocol import protocol_of
from lungzoo.inference.volume import Volume
from lungzoo.weights.manifest import WeightsManifest

TINY: dict[str, Any] = {
    "name": "cnn_scratch",
    "encoder_options": {"width": 4},
    "encoder_depth": 3,
    "decoder_channels": [8, 8, 8],
    "decoder_convs": 1,
}


def manifest(name: str, **model: Any) -> WeightsManifest:
    values = {"name": name, "model": {**TINY, **model}, "file": "a.npz", "sha256": "0" * 64, "size_bytes": 1}
    return WeightsManifest.model_validate(values)


def as_predictor(model: Any, name: str = "hand-made", is_3d: bool = False, **config: Any) -> Predictor:
    found = manifest(name, **config)
    return Predictor(model, found, protocol_of(found), is_3d)


@pytest.fixture(scope="session")
def linear() -> Any:
    """Means of 2×2 pixels, m, as two channels (m, -m); logits 3·m + 1·(-m); the labels' logits are 0 and mean -m."""
    import keras

    from lungzoo.models.layers import CropLike, PadToStride

    inside = keras.Input((None, None, 1))
    two = keras.layers.Conv2D(2, 1, use_bias=False)
    encoder = keras.Model(inside, {"P1": two(keras.layers.AveragePooling2D(2)(inside))}, name="encoder")
    two.set_weights([np.array([[[[1.0, -1.0]]]], np.float32)])
    image = keras.Input((None, None, 1))
    level = encoder(PadToStride((2, 2), name="pad")(image))["P1"]
    head, label = keras.layers.Conv2D(1, 1, use_bias=False), keras.layers.Dense(2, use_bias=False)
    mask = CropLike()([keras.layers.UpSampling2D(2)(head(level)), image])
    outputs = {"mask": mask, "label": label(keras.layers.GlobalAveragePooling2D()(level))}
    head.set_weights([np.array([[[[3.0], [1.0]]]], np.float32)])
    label.set_weights([np.array([[0.0, 0.0], [0.0, 1.0]], np.float32)])
    return keras.Model(image, outputs)


@pytest.fixture(scope="session")
def bright() -> Predictor:
    """Log-odds 60·(grey - 0.5), pixel by pixel."""
    import keras

    image = keras.Input((None, None, 1))
    head = keras.layers.Conv2D(1, 1)
    model = keras.Model(image, head(image))
    head.set_weights([np.full((1, 1, 1, 1), 60, np.float32), np.array([-30], np.float32)])
    return as_predictor(model, "bright")


@pytest.fixture(scope="session")
def build() -> Callable[..., Predictor]:
    """A tiny network with random weights."""

    def make(seed: int = 0, name: str = "random", **config: Any) -> Predictor:
        import keras

        from lungzoo.models.assemble import build_model

        keras.utils.set_random_seed(seed)
        return as_predictor(build_model(ModelConfig.model_validate({**TINY, **config})), name, **config)

    return make


@pytest.fixture(scope="session")
def shipped() -> Predictor:
    """The weights that ship."""
    from lungzoo.inference.predictor import open_predictor

    return open_predictor("lungzoo:unet_mobilenetv2_035-lidc-v1")


@pytest.fixture(scope="session")
def nodule() -> tuple[np.ndarray, np.ndarray]:
    """A blob of 13 pixels in dark lung, neither square nor a multiple of any stride: (uint8 (H, W), bool (H, W))."""
    y, x = np.mgrid[:91, :107]
    inside = (y - 40) ** 2 + (x - 62) ** 2 <= 6.5**2
    noise = np.random.default_rng(0).normal(0, 4, inside.shape)
    return np.clip(np.where(inside, 190, 25) + noise, 0, 255).astype(np.uint8), inside


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., Subject]:
    """A slice of a stack without a grid, uint8 (H, W) or (Z, H, W)."""

    def make(predictors: Sequence[Predictor], image: np.ndarray, region: np.ndarray, **more: Any) -> Subject:
        stack = np.atleast_3d(image.T).T if image.ndim == 2 else image
        volume = Volume(stack, "uint8", np.arange(len(stack)), stack.shape)
        if "spacing_mm" in more:
            volume = replace(volume, spacing_mm=more.pop("spacing_mm"))
        return Subject(tuple(predictors), volume, len(stack) // 2, region, Passes(), **more)

    return make
