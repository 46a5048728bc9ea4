"""Models of the library segmentation_models (Iakubovskii 2019): U-Net, FPN, LinkNet and PSPNet as it builds them.

The library makes the network; lungzoo takes it apart into encoder and decoder, gives the encoder its own scaling and
any number of input channels, and adds padding, heads and cropping as for every other model. The library runs on the
TensorFlow backend alone: on another one, or where it is not installed, there are no rows.

PSPNet stands on an eighth of the resolution and on no deeper layers, as the library's default. There it takes inputs
of one fixed size; here its grids of cells adapt to any, and are the same where 48 divides the size. Its last
convolution makes 16 features instead of logits, which then grow to full resolution, where the shared head is.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lungzoo.config import ModelConfig
from lungzoo.decoders.contract import Decoded
from lungzoo.encoders.contract import to_rgb
from lungzoo.encoders.graft import IMAGENET_MEAN, IMAGENET_STD, centred_255, scaled
from lungzoo.errors import ConfigError
from lungzoo.models.contract import ModelSpec, Parts
from lungzoo.models.fetching import fetching

_PSP_SIZE_PX = 384
_PSP_FEATURES = 16


@dataclass(frozen=True)
class Architecture:
    """One of the library's architectures, and where its encoder ends.

    Args:
        title: human name.
        constructor: function of the library.
        channels: default widths, deepest first.
        widths: what `channels` are the widths of, in words.
        arguments: function from a checked config and the widths to the constructor's arguments.
        deepest: layers that may follow the backbone's output, the first one present does.
        skips: {level: layer that takes it}; where a layer takes several tensors, the skip connection is the last.
        features: layer whose output the head takes.
        upsampling: kinds that it has; the first is how it is built by default.
        dropout: whether it has dropout.
    """

    title: str
    constructor: str
    channels: tuple[int, ...]
    widths: str
    arguments: Callable[[ModelConfig, tuple[int, ...]], dict[str, Any]]
    deepest: tuple[str, ...]
    skips: Mapping[str, str]
    features: str
    upsampling: tuple[str, ...] = ("nearest",)
    dropout: bool = False


def _unet(config: ModelConfig, channels: tuple[int, ...]) -> dict[str, Any]:
    return {"decoder_filters": channels, "decoder_block_type": _BLOCKS[config.decoder_upsampling]}


def _linknet(config: ModelConfig, channels: tuple[int, ...]) -> dict[str, Any]:
    # The widths of blocks with a skip connection are those of the encoder.
    return {
        "decoder_filters": (None, None, None, None, *channels),
        "decoder_block_type": _BLOCKS[config.decoder_upsampling],
    }


def _fpn(config: ModelConfig, channels: tuple[int, ...]) -> dict[str, Any]:
    return {"pyramid_block_filters": channels[0], "pyramid_dropout": config.decoder_dropout or None}


def _pspnet(config: ModelConfig, channels: tuple[int, ...]) -> dict[str, Any]:
    return {
        "psp_conv_filters": channels[0],
        "psp_dropout": config.decoder_dropout or None,
        "input_shape": (_PSP_SIZE_PX, _PSP_SIZE_PX, 3),
        "classes": max(_PSP_FEATURES, config.classes),
    }


_BLOCKS = {"nearest": "upsampling", "transpose": "transpose"}

ARCHITECTURES = {
    "unet": Architecture(
        title="U-Net",
        constructor="Unet",
        channels=(256, 128, 64, 32, 16),
        widths="one per level, deepest first",
        arguments=_unet,
        deepest=("center_block1_conv", "decoder_stage0_upsampling", "decoder_stage0a_transpose"),
        skips={f"P{4 - stage}": f"decoder_stage{stage}_concat" for stage in range(4)},
        features="decoder_stage4b_relu",
        upsampling=("nearest", "transpose"),
    ),
    "fpn": Architecture(
        title="FPN",
        constructor="FPN",
        channels=(256,),
        widths="the pyramid's; its branches have half as many",
        arguments=_fpn,
        deepest=("fpn_stage_p5_pre_conv", "fpn_stage_p5_upsampling"),
        skips={f"P{stage - 1}": f"fpn_stage_p{stage}_conv" for stage in (5, 4, 3, 2)},
        features="final_upsampling",
        dropout=True,
    ),
    "linknet": Architecture(
        title="LinkNet",
        constructor="Linknet",
        channels=(16,),
        widths="the last block's; the others have the encoder's",
        arguments=_linknet,
        deepest=("center_block1_conv", "decoder_stage0a_conv"),
        skips={f"P{4 - stage}": f"decoder_stage{stage}_add" for stage in range(4)},
        features="decoder_stage4c_relu",
        upsampling=("nearest", "transpose"),
    ),
    "pspnet": Architecture(
        title="PSPNet",
        constructor="PSPNet",
        channels=(512,),
        widths="the pooled branches' and that of their sum",
        arguments=_pspnet,
        deepest=(),
        skips={"P3": "psp_level1_pooling"},
        features="final_upsampling",
        dropout=True,
    ),
}


@dataclass(frozen=True)
class _Family:
    """Backbones that scale their input alike.

    Args:
        scale: function from an RGB Keras tensor in [0, 1] to what the backbone takes.
        bgr: whether its weights were trained on blue-green-red images.
    """

    scale: Callable[[Any], Any]
    bgr: bool = False


def _to_255(rgb: Any) -> Any:
    import keras

    return keras.layers.Rescaling(255.0, name="scale_input")(rgb)


def _by_statistics(rgb: Any) -> Any:
    return scaled(rgb, IMAGENET_MEAN, IMAGENET_STD)


_RAW = _Family(_to_255)
_TORCH = _Family(_by_statistics)
_TF = _Family(scaled)
_CAFFE = _Family(centred_255, bgr=True)

BACKBONES: Mapping[str, _Family] = {
    # Their first layer is a BatchNorm, which learnt the statistics of 0..255.
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RAW),
    **dict.fromkeys(("resnext50", "resnext101", "seresnet18", "seresnet34"), _RAW),
    **dict.fromkeys(("seresnet50", "seresnet101", "seresnet152"), _TORCH),
    **dict.fromkeys(("seresnext50", "seresnext101", "senet154"), _TORCH),
    **dict.fromkeys(("vgg16", "vgg19"), _CAFFE),
    **dict.fromkeys(("inceptionv3", "inceptionresnetv2", "mobilenet", "mobilenetv2"), _TF),
    **dict.fromkeys((f"efficientnetb{size}" for size in range(8)), _TORCH),
}


@dataclass(frozen=True)
class LibraryModel:
    """One architecture on one backbone of segmentation_models.

    Args:
        decoder: key of `ARCHITECTURES`.
        backbone: key of `BACKBONES`.
    """

    decoder: str
    backbone: str
    provider: str = "segmentation_models"
    dims: int = 2
    weights: tuple[str, ...] = ("imagenet",)

    @property
    def encoder(self) -> str:
        """Name of the encoder; its weights fit no encoder of lungzoo's own."""
        return f"sm/{self.backbone}"

    @property
    def description(self) -> str:
        """What it is, for listings."""
        return f"{ARCHITECTURES[self.decoder].title} on {self.backbone}, as built by segmentation_models"

    @property
    def _name(self) -> str:
        return f"sm/{self.decoder}_{self.backbone}"

    def check(self, config: ModelConfig, weights: str | None) -> None:
        """See `ModelSpec.check`."""
        architecture = ARCHITECTURES[self.decoder]
        if config.encoder_options:
            keys = ", ".join(key for key, _ in config.encoder_options)
            raise ConfigError(f"Model '{self._name}' has no encoder_options. Received: {keys}")
        for key, allowed in {
            "encoder_depth": (5,),
            "decoder_convs": (2,),
            "decoder_norm": ("batch",),
            "decoder_attention": ("none",),
            "decoder_upsampling": architecture.upsampling,
            "deep_supervision": (False,),
        }.items():
            if (value := getattr(config, key)) not in allowed:
                raise ConfigError(
                    f"Model '{self._name}' has no {key} = {value}. Allowed: {', '.join(map(str, allowed))}."
                )
        if config.decoder_dropout and not architecture.dropout:
            raise ConfigError(f"Model '{self._name}' has no decoder_dropout. Received: {config.decoder_dropout}")
        self.widths(config)
        if weights is not None and weights not in self.weights:
            raise ConfigError(f"Model '{self._name}' has no '{weights}' weights. Allowed: {', '.join(self.weights)}.")

    def levels(self, config: ModelConfig) -> int:
        """See `ModelSpec.levels`."""
        architecture = ARCHITECTURES[self.decoder]
        return len(architecture.skips) + bool(architecture.deepest)

    def widths(self, config: ModelConfig) -> tuple[int, ...]:
        """See `ModelSpec.widths`."""
        architecture = ARCHITECTURES[self.decoder]
        channels = architecture.channels if config.decoder_channels is None else config.decoder_channels
        needed = len(architecture.channels)
        if len(channels) < needed:
            raise ConfigError(
                f"Model '{self._name}' needs {needed} decoder_channels ({architecture.widths}). "
                f"Received: {list(channels)}"
            )
        return channels[:needed]

    def build(self, config: ModelConfig, weights: str | None) -> Parts:
        """See `ModelSpec.build`."""
        import keras

        from lungzoo.models.segmentation_graph import rebuild

        architecture, family = ARCHITECTURES[self.decoder], BACKBONES[self.backbone]
        reference = self._reference(config, weights)
        levels = _levels(reference, architecture)
        image = keras.Input((None, None, config.in_channels * config.in_slices), name="image")
        start = {"image": (reference.input, family.scale(to_rgb(image)))}
        encoder = keras.Model(
            image, rebuild(reference, start, levels, weights is not None, reverse_stem=family.bgr), name="encoder"
        )
        features = {"features": reference.get_layer(architecture.features).output}

        def decode(pyramid: dict[str, Any]) -> Decoded:
            begin = {level: (tensor, pyramid[level]) for level, tensor in levels.items()}
            return Decoded(rebuild(reference, begin, features, copy_weights=False)["features"])

        return Parts(encoder, decode, {level: (2 ** int(level[1:]),) * 2 for level in levels})

    def _reference(self, config: ModelConfig, weights: str | None) -> Any:
        """Return the network as the library builds it."""
        architecture = ARCHITECTURES[self.decoder]
        arguments = {
            "input_shape": (None, None, 3),
            "activation": "linear",
            **architecture.arguments(config, self.widths(config)),
        }
        construct = getattr(library(), architecture.constructor)
        with fetching(self.encoder, weights), warnings.catch_warnings():
            # The MobileNets choose their weights file by the input shape; sizes without one take that of 224 pixels.
            warnings.filterwarnings("ignore", ".*`input_shape` is undefined or non-square|.*shape is undefined")
            return construct(self.backbone, encoder_weights=weights, **arguments)


def _levels(reference: Any, architecture: Architecture) -> dict[str, Any]:
    """Return the tensors of a reference that go from encoder to decoder, by level."""
    names = {layer.name for layer in reference.layers}
    levels = {}
    for level, layer in architecture.skips.items():
        tensors = reference.get_layer(layer).input
        levels[level] = tensors[-1] if isinstance(tensors, list) else tensors
    deepest = next((layer for layer in architecture.deepest if layer in names), None)
    if deepest is not None:
        levels["P5"] = reference.get_layer(deepest).input
    return dict(sorted(levels.items()))


def library() -> Any:
    """Import segmentation_models for the Keras that lungzoo uses, quietly."""
    with _framework("tf.keras"), redirect_stdout(io.StringIO()):
        module = importlib.import_module("segmentation_models")
        if module.framework() != "tf.keras":
            module.set_framework("tf.keras")
    return module


@contextmanager
def _framework(name: str) -> Iterator[None]:
    """Set what the library reads when it is first imported, and take it back."""
    before = os.environ.get("SM_FRAMEWORK")
    os.environ["SM_FRAMEWORK"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["SM_FRAMEWORK"]
        else:
            os.environ["SM_FRAMEWORK"] = before


def hidden_reason() -> str | None:
    """Return why there are no rows here, in one line; None where there are."""
    if find_spec("segmentation_models") is None:
        return "The 'sm/…' models are hidden: segmentation-models is not installed. pip install segmentation-models"
    backend = _backend()
    if backend != "tensorflow":
        return f"The 'sm/…' models are hidden: they need the TensorFlow backend. Received: KERAS_BACKEND {backend}"
    return None


def _backend() -> str:
    """Return Keras's backend without loading Keras; once loaded, it keeps the one it started with."""
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "config"):
        return str(sys.modules["keras"].config.backend())
    if named := os.environ.get("KERAS_BACKEND"):
        return named
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((folder / "keras.json").read_text(encoding="utf-8")).get("backend", "tensorflow"))
    except (OSError, ValueError):
        return "tensorflow"


def rows() -> dict[str, ModelSpec]:
    """Return the rows of the zoo, by name; none where the library cannot run."""
    if hidden_reason() is not None:
        return {}
    return {
        f"sm/{decoder}_{backbone}": LibraryModel(decoder, backbone)
        for decoder in ARCHITECTURES
        for backbone in BACKBONES
    }
