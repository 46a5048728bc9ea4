"""What an encoder promises, and the one way to build one.

An encoder is a `keras.Model` from (None, None, C), values in [0, 1], to {"P1": …, "P5": …}, where Pn is 2ⁿ times
smaller than the input. A level that an architecture does not have is absent. Input scaling belongs to the encoder,
because it knows what its weights were trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lungzoo.encoders.facts import Facts, recorded
from lungzoo.errors import ConfigError, did_you_mean
from lungzoo.schema import Option

LEVELS = ("P1", "P2", "P3", "P4", "P5")


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder.

    Args:
        name: registry name.
        title: human name, "ResNet-50".
        family: encoders of one family share their code; contract tests take the smallest of each.
        backbone: function (rgb, levels, weights, **options) -> {level: tensor}; `rgb` is a Keras tensor
            (None, None, None, 3) in [0, 1], `levels` those wanted. It scales its input, builds the network no deeper
            than they need, and names its skip connections by level.
        weights: names of the pretrained weights that exist.
        scaling: what the backbone does with [0, 1], in words.
        paper: where the architecture was published.
        licence: of code and pretrained weights.
        source: where the pretrained weights come from; empty where there are none.
        options: further settings with their defaults; numbers are positive.
        pretrained: for options that pretrained weights depend on, the values that have weights.
        levels: pyramid levels it has.
    """

    name: str
    title: str
    family: str
    backbone: Callable[..., dict[str, Any]]
    weights: tuple[str, ...]
    scaling: str
    paper: str
    licence: str
    source: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    pretrained: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    levels: tuple[str, ...] = LEVELS

    @property
    def facts(self) -> Facts | None:
        """Parameters and multiply-adds with default options; None for an encoder of another package."""
        return recorded(self.name)

    def checked_options(self, given: Mapping[str, Option]) -> dict[str, Option]:
        """Return all options with their values; raises ConfigError for one that is unknown or of the wrong type."""
        for key, value in given.items():
            if key not in self.options:
                allowed = ", ".join(self.options) or "none"
                raise ConfigError(
                    f"Encoder '{self.name}' has no option '{key}'.{did_you_mean(key, self.options)} Allowed: {allowed}."
                )
            _check_type(self, key, value)
        return {**self.options, **given}

    def check_weights(self, weights: str | None, options: Mapping[str, Option]) -> None:
        """Raise ConfigError unless `weights` is None or names weights that exist for this encoder and its options."""
        if weights is None:
            return
        for key, allowed_values in self.pretrained.items():
            value = options.get(key, self.options[key])
            if value not in allowed_values:
                raise ConfigError(
                    f"Encoder '{self.name}' has no '{weights}' weights for {key} = {value}. "
                    f"Allowed: {', '.join(map(str, allowed_values))}; or train it from scratch."
                )
        if weights not in self.weights:
            allowed = ", ".join(self.weights) or "none, train it from scratch"
            raise ConfigError(
                f"Encoder '{self.name}' has no '{weights}' weights. Allowed: {allowed}. Those of whole models are "
                "named lungzoo:NAME, run:ID or by the path of an .npz file."
            )


def _check_type(spec: EncoderSpec, key: str, value: Option) -> None:
    default = spec.options[key]
    if isinstance(default, (bool, str)):
        right, wanted = isinstance(value, type(default)), "true or false" if isinstance(default, bool) else "a text"
    else:
        kinds = (int, float) if isinstance(default, float) else (int,)
        right = isinstance(value, kinds) and not isinstance(value, bool) and float(value) > 0
        wanted = "a positive number" if isinstance(default, float) else "a positive whole number"
    if not right:
        raise ConfigError(f"Option '{key}' of encoder '{spec.name}' must be {wanted}. Received: {value!r}")


def build_encoder(
    spec: EncoderSpec,
    in_channels: int = 1,
    weights: str | None = None,
    options: Mapping[str, Option] | None = None,
    depth: int = 5,
) -> Any:
    """Build an encoder.

    Args:
        spec: its registry entry.
        in_channels: channels of the input. One channel is repeated three times, which gives exactly the features of a
            grey RGB image; other numbers are projected to three by their mean, trainable, which does so too.
        weights: None or one of `spec.weights`.
        options: overrides of `spec.options`.
        depth: deepest level that is kept; layers beyond it are not part of the model.

    Returns:
        A `keras.Model` named "encoder", (None, None, None, C) -> {"P1": (None, H/2, W/2, c₁), …}.

    Raises:
        ConfigError: unknown option or weights, or a depth that the encoder does not have.
        WeightsUnavailable: the weights exist but cannot be had here.
    """
    import keras

    values = spec.checked_options(options or {})
    spec.check_weights(weights, values)
    if f"P{depth}" not in spec.levels:
        raise ConfigError(f"Encoder '{spec.name}' has no level P{depth}. Allowed: {', '.join(spec.levels)}.")
    image = keras.Input((None, None, in_channels), name="image")
    levels = tuple(level for level in spec.levels if int(level[1:]) <= depth)
    return keras.Model(image, spec.backbone(to_rgb(image), levels, weights=weights, **values), name="encoder")


def to_rgb(image: Any) -> Any:
    import keras
    import numpy as np

    channels = image.shape[-1]
    if channels == 3:
        return image
    if channels == 1:
        return keras.layers.Concatenate(name="grey_to_rgb")([image, image, image])
    mean = keras.initializers.Constant(np.full((1, 1, channels, 3), 1 / channels))
    return keras.layers.Conv2D(3, 1, use_bias=False, kernel_initializer=mean, name="project_to_rgb")(image)
