"""Models of volumes: patches of a few neighbouring slices, (None, D, H, W, C), trained from scratch.

D is `in_slices` while training; a model takes any D, H and W, as it pads each axis to its own stride. Shallow patches
are halved along z less often than along y and x: see `unet3d.level_strides`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lungzoo.config import ModelConfig
from lungzoo.decoders.contract import Decoded
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.errors import ConfigError
from lungzoo.models.contract import ModelSpec, Parts
from lungzoo.models.pairs import style_of
from lungzoo.models.unet3d import Strides, decode3d, level_strides, unet3d_pyramid
from lungzoo.models.unetr import DEPTH, unetr_pyramid
from lungzoo.schema import Option

_MIN_SLICES = 3
Options = dict[str, Any]


@dataclass(frozen=True)
class VolumeModel:
    """A 3D model.

    Args:
        name: row of the zoo.
        title: human name.
        options: encoder options with their defaults.
        pyramid: function (image, strides, slices, options) -> {"P0": tensor, "P1": …}.
        channels: function (level, options) -> default width of the decoder at that level.
        depths: allowed numbers of levels below full resolution.
        fault: function from options to what is wrong with them together, if anything.
    """

    name: str
    title: str
    paper: str
    options: tuple[tuple[str, Option], ...]
    pyramid: Callable[[Any, Strides, int, Options], dict[str, Any]]
    channels: Callable[[int, Options], int]
    depths: tuple[int, ...]
    fault: Callable[[Options], str | None] = lambda options: None
    provider: str = "lungzoo"
    dims: int = 3
    weights: tuple[str, ...] = ()

    @property
    def encoder(self) -> str:
        """Name of the encoder, which no other model shares."""
        return self.name

    @property
    def decoder(self) -> str:
        """Name of the decoder."""
        return "unet3d"

    @property
    def description(self) -> str:
        """What it is, for listings."""
        return f"{self.title} on patches of slices; {self.paper}"

    def check(self, config: ModelConfig, weights: str | None) -> None:
        """See `ModelSpec.check`."""
        if weights is not None:
            raise ConfigError(f"Model '{self.name}' has no '{weights}' weights. Allowed: none, train it from scratch.")
        options = self._options(config)
        if fault := self.fault(options):
            raise ConfigError(f"Model '{self.name}': {fault}")
        if config.in_slices < _MIN_SLICES:
            raise ConfigError(
                f"Model '{self.name}' is 3D and needs in_slices of at least {_MIN_SLICES}. Received: {config.in_slices}"
            )
        for key, allowed in {
            "encoder_depth": self.depths,
            "decoder_attention": ("none",),
            "decoder_upsampling": ("nearest", "transpose"),
        }.items():
            if (value := getattr(config, key)) not in allowed:
                raise ConfigError(
                    f"Model '{self.name}' has no {key} = {value}. Allowed: {', '.join(map(str, allowed))}."
                )
        self.widths(config)

    def levels(self, config: ModelConfig) -> int:
        """See `ModelSpec.levels`; P0, at full resolution, is one."""
        return config.encoder_depth + 1

    def _options(self, config: ModelConfig) -> Options:
        spec = EncoderSpec(
            name=self.name,
            title=self.title,
            family="volume",
            backbone=self.pyramid,
            weights=(),
            scaling="",
            paper=self.paper,
            licence="Apache-2.0",
            options=dict(self.options),
        )
        return dict(spec.checked_options(dict(config.encoder_options)))

    def widths(self, config: ModelConfig) -> tuple[int, ...]:
        """See `ModelSpec.widths`."""
        depth, options = config.encoder_depth, self._options(config)
        if config.decoder_channels is None:
            return tuple(self.channels(number, options) for number in reversed(range(depth)))
        if len(config.decoder_channels) < depth:
            raise ConfigError(
                f"Model '{self.name}' needs {depth} decoder_channels (one per level, deepest first). "
                f"Received: {list(config.decoder_channels)}"
            )
        return config.decoder_channels[:depth]

    def build(self, config: ModelConfig, weights: str | None) -> Parts:
        """See `ModelSpec.build`."""
        import keras

        options = self._options(config)
        strides = level_strides(config.in_slices, config.encoder_depth)
        style = style_of(config, self.widths(config))
        image = keras.Input((None, None, None, config.in_channels), name="image")
        encoder = keras.Model(image, self.pyramid(image, strides, config.in_slices, options), name="encoder")

        def decode(pyramid: dict[str, Any]) -> Decoded:
            return decode3d(pyramid, strides, style)

        return Parts(encoder, decode, dict(strides))


def _unet3d(image: Any, strides: Strides, slices: int, options: Options) -> dict[str, Any]:
    return unet3d_pyramid(image, strides, options["width"], options["max_width"])


def _unetr(image: Any, strides: Strides, slices: int, options: Options) -> dict[str, Any]:
    return unetr_pyramid(image, strides, slices, **options)


def _unetr_fault(options: Options) -> str | None:
    if options["layers"] % DEPTH:
        return f"encoder option 'layers' must be a multiple of {DEPTH}. Received: {options['layers']}"
    if options["width"] % options["heads"]:
        return f"encoder option 'width' must be a multiple of 'heads', {options['heads']}. Received: {options['width']}"
    return None


def rows() -> dict[str, ModelSpec]:
    """Return the rows of the zoo, by name."""
    models = (
        VolumeModel(
            name="unet3d",
            title="3D U-Net",
            paper="Çiçek et al. 2016, arXiv:1606.06650",
            options=(("width", 32), ("max_width", 320)),
            pyramid=_unet3d,
            channels=lambda number, options: min(options["width"] * 2 ** (number + 1), options["max_width"]),
            depths=(2, 3, 4, 5),
        ),
        VolumeModel(
            name="unetr",
            title="UNETR",
            paper="Hatamizadeh et al. 2021, arXiv:2103.10504",
            options=(
                ("width", 768),
                ("layers", 12),
                ("heads", 12),
                ("mlp_width", 3072),
                ("features", 16),
                ("size_px", 128),
            ),
            pyramid=_unetr,
            channels=lambda number, options: options["features"] * 2**number,
            depths=(DEPTH,),
            fault=_unetr_fault,
        ),
    )
    return {model.name: model for model in models}
