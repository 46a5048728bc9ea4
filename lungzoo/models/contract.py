"""What a row of the zoo promises: an encoder with a pyramid, and what decodes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lungzoo.config import ModelConfig
from lungzoo.decoders.contract import Decoded


@dataclass(frozen=True)
class Parts:
    """An encoder and its decoder, built; padding, heads and cropping are the same for all and come later.

    Args:
        encoder: `keras.Model` named "encoder" from images in [0, 1], (None, None, None, C), or volumes,
            (None, None, None, None, C), to {"P1": …, …}.
        decode: function from that pyramid's tensors to features.
        strides: how many times smaller each level is, along each spatial axis: {"P1": (2, 2), …}.
    """

    encoder: Any
    decode: Callable[[dict[str, Any]], Decoded]
    strides: dict[str, tuple[int, ...]]

    @property
    def stride(self) -> tuple[int, ...]:
        """Multiple to which each spatial axis of the input is padded."""
        return tuple(max(sides) for sides in zip(*self.strides.values(), strict=True))


class ModelSpec(Protocol):
    """One row of the zoo. Nothing but `build` loads Keras.

    Attributes:
        encoder: name of the encoder, for listings; where lungzoo has it, its registry name.
        decoder: name of the decoder, likewise.
        description: a line for people.
        provider: where it comes from: "lungzoo", "segmentation_models", …
        dims: 2 for images, 3 for volumes.
        weights: names of the pretrained encoder weights that exist.
    """

    @property
    def encoder(self) -> str: ...
    @property
    def decoder(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def dims(self) -> int: ...
    @property
    def weights(self) -> tuple[str, ...]: ...

    def check(self, config: ModelConfig, weights: str | None) -> None:
        """Raise ConfigError for sizes, options or pretrained weights that this model does not have."""

    def levels(self, config: ModelConfig) -> int:
        """Return how many levels the encoder's pyramid has."""

    def widths(self, config: ModelConfig) -> tuple[int, ...]:
        """Return the widths of the decoder, its own where the config names none; raises ConfigError for too few."""

    def build(self, config: ModelConfig, weights: str | None) -> Parts:
        """Build both parts; `weights` is None or one of `self.weights`.

        Raises:
            WeightsUnavailable: they exist but cannot be had here.
        """
