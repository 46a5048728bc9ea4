"""ResNet-18 and -34 are variable for variable those of `classification_models`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from lungzoo.encoders import ENCODERS, resnet_basic
from lungzoo.encoders.contract import build_encoder
from lungzoo.encoders.h5_weights import load_by_layer
from lungzoo.errors import WeightsUnavailable

# Parameters of both networks, and of some layers, counted by hand:
# the stem 7·7·3·64, `bn_data` 3 channels without a scale, and a stage's first projection 64·128.
SHAPES = {
    "bn_data/beta": (3,),
    "bn_data/moving_variance": (3,),
    "conv0/kernel": (7, 7, 3, 64),
    "stage1_unit1_sc/kernel": (1, 1, 64, 64),
    "stage2_unit1_sc/kernel": (1, 1, 64, 128),
    "stage4_unit2_conv2/kernel": (3, 3, 512, 512),
    "bn1/gamma": (512,),
}


def test_shapes_and_names(variable_paths):
    model = resnet_basic.resnet((2, 2, 2, 2))
    shapes = dict(zip(variable_paths(model), (tuple(v.shape) for v in model.weights), strict=True))
    assert SHAPES.items() <= shapes.items()
    assert "bn_data/gamma" not in shapes
    assert "stage1_unit2_sc/kernel" not in shapes


@pytest.fixture
def saved(tmp_path):
    """A weights file in the legacy layout, with known random numbers."""
    keras.utils.set_random_seed(4)
    model = resnet_basic.resnet((2, 2, 2, 2))
    model.set_weights([np.random.default_rng(i).uniform(0.01, 0.1, v.shape) for i, v in enumerate(model.weights)])
    path = tmp_path / "resnet18.weights.h5"
    write_legacy(path, model)
    return path, model


def write_legacy(path, model, drop=()):
    import h5py

    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.name not in drop]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = keras.ops.convert_to_numpy(weight)


def test_weights_file_is_read_by_name(saved, monkeypatch):
    path, model = saved
    fetched = []
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: fetched.append((args, kwargs)) or str(path))
    monkeypatch.setattr(
        resnet_basic, "load_by_layer", lambda model, path, md5: load_by_layer(model, path, md5_of(path))
    )
    encoder = build_encoder(ENCODERS.get("resnet18"), in_channels=3, weights="imagenet")
    (name, url), settings = fetched[0]
    assert name == "resnet18_imagenet_1000_no_top.h5"
    assert url.endswith("/releases/download/0.0.1/resnet18_imagenet_1000_no_top.h5")
    assert settings["file_hash"] == "318e3ac0cd98d51e917526c9f62f0b50"
    image = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
    expected = np.asarray(model(255 * image, training=False))
    np.testing.assert_allclose(np.asarray(encoder(image, training=False)["P5"]), expected, rtol=1e-4)


def md5_of(path) -> str:
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


def test_a_file_of_another_network_is_refused(saved, tmp_path):
    path, model = saved
    write_legacy(tmp_path / "short.h5", model, drop=("stage3_unit1_sc",))
    with pytest.raises(WeightsUnavailable, match="1 layers differ, first 'stage3_unit1_sc'"):
        load_by_layer(model, tmp_path / "short.h5", md5_of(tmp_path / "short.h5"))
    with pytest.raises(WeightsUnavailable, match="are of another network"):
        load_by_layer(resnet_basic.resnet((3, 4, 6, 3)), path, md5_of(path))


def test_a_file_that_is_fetched_is_compared_with_its_hash(saved, monkeypatch):
    path, _ = saved
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: str(path))
    with pytest.raises(WeightsUnavailable, match="are not those that were published: the md5 differs"):
        build_encoder(ENCODERS.get("resnet18"), in_channels=3, weights="imagenet")


COMPARE = """
import os, sys, warnings
warnings.simplefilter("ignore")
os.environ["SM_FRAMEWORK"] = "tf.keras"
import numpy as np, tensorflow as tf
from classification_models.tfkeras import Classifiers
from lungzoo.encoders import resnet_basic
from lungzoo.encoders.h5_weights import load_by_layer
name, units = sys.argv[1], tuple(map(int, sys.argv[2].split(",")))
theirs = Classifiers.get(name)[0](input_shape=(64, 64, 3), weights=None, include_top=False)
ours = resnet_basic.resnet(units)
def rows(model):
    return {(layer.name, weight.name): tuple(weight.shape) for layer in model.layers for weight in layer.weights}
assert rows(theirs) == rows(ours), set(rows(theirs)) ^ set(rows(ours))
assert theirs.count_params() == ours.count_params()
def order(model):
    return [(layer.name, weight.name) for layer in model.layers for weight in layer.weights]
print("order", order(theirs) == order(ours))
for layer in theirs.layers:
    layer.set_weights([np.random.default_rng(1).uniform(0.01, 0.1, w.shape) for w in layer.weights])
for layer in ours.layers:
    if layer.weights:
        layer.set_weights(theirs.get_layer(layer.name).get_weights())
image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
a, b = np.asarray(theirs(image, training=False)), np.asarray(ours(image, training=False))
np.testing.assert_allclose(a, b, rtol=1e-5)
print("equal")
"""


@pytest.mark.parametrize(
    ("name", "units"), [("resnet18", "2,2,2,2"), pytest.param("resnet34", "3,4,6,3", marks=pytest.mark.slow)]
)
@pytest.mark.skipif(find_spec("classification_models") is None, reason="pip install image-classifiers")
@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="classification_models runs on TensorFlow alone")
def test_equals_classification_models(name, units):
    result = subprocess.run(
        [sys.executable, "-c", COMPARE, name, units],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.stdout.split() == ["order", "True", "equal"], result.stderr[-3000:]
