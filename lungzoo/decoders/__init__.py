"""Decoders: feature pyramid in, one feature map at input resolution out."""

from __future__ import annotations

from typing import Any, Protocol

from lungzoo.registry import Registry


class Decoder(Protocol):
    """Turns a pyramid into features at the resolution of the (padded) input.

    Args:
        pyramid: {"P1": tensor, …}; a level that the encoder lacks is absent.
        channels: width of each decoder level, deepest first.
        convs: 3×3 convolutions per level.

    Returns:
        Keras tensor (None, H, W, c).
    """

    def __call__(self, pyramid: dict[str, Any], *, channels: tuple[int, ...], convs: int) -> Any: ...


DECODERS: Registry[Decoder] = Registry("decoder", "lungzoo.decoders", see="lungzoo list decoders")
