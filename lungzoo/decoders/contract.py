"""What a decoder promises: a feature pyramid in, features at the resolution of the input out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lungzoo.config import Attention, Normalisation, Upsampling
from lungzoo.errors import ConfigError


@dataclass(frozen=True)
class DecoderStyle:
    """Settings that every decoder understands alike.

    Args:
        channels: widths, deepest first; each decoder's `widths` text says what they are the widths of.
        convs: 3×3 convolutions per block, at least one.
        norm: normalisation after each convolution.
        attention: "scse" squeezes and excites channels and places after each block.
        dropout: share of channels dropped before the head while training, in [0, 1).
        upsampling: how features grow.
        deep_supervision: also return coarser features, for auxiliary heads while training.
    """

    channels: tuple[int, ...]
    convs: int = 2
    norm: Normalisation = "batch"
    attention: Attention = "none"
    dropout: float = 0.0
    upsampling: Upsampling = "nearest"
    deep_supervision: bool = False


@dataclass(frozen=True)
class Decoded:
    """What a decoder returns.

    Args:
        features: Keras tensor (None, H, W, c) at the resolution of the (padded) input.
        auxiliary: coarser features by level, such as {"P2": (None, H/4, W/4, c)}; empty without deep supervision.
    """

    features: Any
    auxiliary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DecoderSpec:
    """One decoder.

    Args:
        title: human name, "U-Net++".
        build: function (pyramid, style) -> Decoded; `pyramid` is {"P1": tensor, …}, a level that the encoder lacks is
            absent. Layer names begin with "decoder_" and are the same each time.
        paper: where it was published.
        channels: default widths.
        widths: what `channels` are the widths of, in words.
        per_level: True where it takes one width per pyramid level, False where as many as `channels` has.
        min_depth: least number of pyramid levels that it makes sense with.
        ignores: settings of `DecoderStyle` that it has no use for.
    """

    title: str
    build: Callable[[dict[str, Any], DecoderStyle], Decoded]
    paper: str
    channels: tuple[int, ...]
    widths: str
    per_level: bool = True
    min_depth: int = 2
    ignores: tuple[str, ...] = ()

    def checked_channels(self, name: str, given: tuple[int, ...] | None, depth: int) -> tuple[int, ...]:
        """Return the widths for a depth, the decoder's own where none are given; raises ConfigError for too few."""
        channels = self.channels if given is None else given
        needed = depth if self.per_level else len(self.channels)
        if len(channels) < needed:
            raise ConfigError(
                f"Decoder '{name}' needs {needed} decoder_channels ({self.widths}). Received: {list(channels)}"
            )
        return channels[:needed]
