"""Models of two registered parts: every encoder with every decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lungzoo.config import ModelConfig
from lungzoo.decoders import DECODERS
from lungzoo.decoders.contract import Decoded, DecoderStyle
from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import build_encoder
from lungzoo.errors import ConfigError
from lungzoo.models.contract import ModelSpec, Parts
from lungzoo.models.fetching import fetching


@dataclass(frozen=True)
class Pair:
    """A model of two registered parts.

    Args:
        encoder, decoder: registry names.
    """

    encoder: str
    decoder: str
    provider: str = "lungzoo"
    dims: int = 2

    @property
    def description(self) -> str:
        """What it is, for listings."""
        return f"{DECODERS.get(self.decoder).title} on {ENCODERS.get(self.encoder).title}"

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the pretrained encoder weights."""
        return ENCODERS.get(self.encoder).weights

    def check(self, config: ModelConfig, weights: str | None) -> None:
        """See `ModelSpec.check`."""
        encoder, decoder = ENCODERS.get(self.encoder), DECODERS.get(self.decoder)
        encoder.check_weights(weights, encoder.checked_options(dict(config.encoder_options)))
        deepest = f"P{config.encoder_depth}"
        if deepest not in encoder.levels:
            raise ConfigError(f"Encoder '{self.encoder}' has no level {deepest}. Allowed: {', '.join(encoder.levels)}.")
        if config.encoder_depth < decoder.min_depth:
            raise ConfigError(
                f"Decoder '{self.decoder}' needs encoder_depth of at least {decoder.min_depth}. "
                f"Received: {config.encoder_depth}"
            )
        self.widths(config)

    def levels(self, config: ModelConfig) -> int:
        """See `ModelSpec.levels`."""
        return sum(int(level[1:]) <= config.encoder_depth for level in ENCODERS.get(self.encoder).levels)

    def widths(self, config: ModelConfig) -> tuple[int, ...]:
        """See `ModelSpec.widths`."""
        decoder = DECODERS.get(self.decoder)
        return decoder.checked_channels(self.decoder, config.decoder_channels, config.encoder_depth)

    def build(self, config: ModelConfig, weights: str | None) -> Parts:
        """See `ModelSpec.build`."""
        spec, decoder = ENCODERS.get(self.encoder), DECODERS.get(self.decoder)
        channels = config.in_channels * config.in_slices
        with fetching(self.encoder, weights):
            encoder = build_encoder(spec, channels, weights, dict(config.encoder_options), config.encoder_depth)
        style = style_of(config, self.widths(config))

        def decode(pyramid: dict[str, Any]) -> Decoded:
            return decoder.build(pyramid, style)

        strides: dict[str, tuple[int, ...]] = {
            f"P{number}": (2**number,) * 2 for number in range(1, config.encoder_depth + 1)
        }
        return Parts(encoder, decode, strides)


def style_of(config: ModelConfig, channels: tuple[int, ...]) -> DecoderStyle:
    """Return the decoder's settings."""
    return DecoderStyle(
        channels=channels,
        convs=config.decoder_convs,
        norm=config.decoder_norm,
        attention=config.decoder_attention,
        dropout=config.decoder_dropout,
        upsampling=config.decoder_upsampling,
        deep_supervision=config.deep_supervision,
    )


def rows() -> dict[str, ModelSpec]:
    """Return the rows of the zoo, by name."""
    pairs: dict[str, ModelSpec] = {
        f"{decoder}_{encoder}": Pair(encoder, decoder) for decoder in DECODERS.names() for encoder in ENCODERS.names()
    }
    # The baseline without pretraining has a name of its own.
    pairs["cnn_scratch"] = pairs.pop("unet_cnn")
    return pairs
