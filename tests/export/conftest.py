"""Weights of a tiny network, opened as `lungzoo export` opens them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.inference.predictor import Predictor, open_predictor
from lungzoo.models.assemble import build_model
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import WeightsManifest, write_manifest

SIZES = {"encoder_options": {"width": 4}, "encoder_depth": 2, "decoder_channels": (8, 8), "decoder_convs": 1}


@pytest.fixture(scope="session")
def make_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write random weights of a small network with their manifest, and return their folder."""

    def make(
        protocol: dict[str, Any] | None = None, sizes: dict[str, Any] = SIZES, deviation: float = 0.05, **model: Any
    ) -> Path:
        folder: Path = tmp_path_factory.mktemp("weights")
        config = ModelConfig.model_validate({"name": "cnn_scratch", **sizes, **model})
        network = build_model(config)
        rng = np.random.default_rng(0)
        for variable in network.weights:  # statistics of BatchNorm and biases, too, unlike those of a new network
            noise = rng.normal(0, deviation, variable.shape).astype(np.float32)
            variable.assign(variable.numpy() + (np.abs(noise) if "variance" in variable.path else noise))
        _tame(network, rng)
        sha256 = write_weights(network, folder / "tiny.npz")
        about = {"file": "tiny.npz", "sha256": sha256, "size_bytes": (folder / "tiny.npz").stat().st_size}
        manifest = WeightsManifest(name="tiny", model=config, protocol=protocol or {}, licence="CC0-1.0", **about)
        write_manifest(manifest, folder / "tiny.toml")
        return folder

    return make


def _tame(network: Any, rng: np.random.Generator) -> None:
    """Scale the head so that logits reach about 10, as of trained networks; of deep new ones they reach 1000."""
    shape = [side or 64 for side in network.input_shape]
    outputs = network(rng.random([1, *shape[1:]], np.float32), training=False)
    mask = outputs["mask"] if isinstance(outputs, dict) else outputs
    head = network.get_layer("head")
    head.kernel.assign(head.kernel * min(1.0, 10 / float(np.abs(np.asarray(mask)).max())))


@pytest.fixture(scope="session")
def make_predictor(make_weights: Callable[..., Path]) -> Callable[..., Predictor]:
    """Open such weights."""

    def make(**settings: Any) -> Predictor:
        return open_predictor(make_weights(**settings))

    return make


@pytest.fixture(scope="session")
def tiny_weights(make_weights: Callable[..., Path]) -> Path:
    """A network of a few hundred numbers for slices in the lung window."""
    return make_weights()


@pytest.fixture(scope="session")
def tiny(tiny_weights: Path) -> Predictor:
    return open_predictor(tiny_weights)
