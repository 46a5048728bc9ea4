"""A row of the zoo with its sizes, and where its weights come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lungzoo.schema import Frozen, Options

TUNED = "tuned:"
"""In the place of a recipe: the settings that a search found, by the name or the path of their file."""

Normalisation = Literal["batch", "group", "instance"]


Attention = Literal["none", "scse"]


Upsampling = Literal["nearest", "bilinear", "transpose"]


class ModelConfig(Frozen):
    """A row of the zoo with its sizes."""

    name: str = Field(min_length=1)
    """A row of the zoo, such as "unet_resnet50"."""
    encoder_options: Options = ()
    """Options that the encoder declares, such as `alpha` of MobileNetV2."""
    encoder_depth: int = Field(5, ge=2, le=5)
    """Number of pyramid levels used; level n is 2ⁿ times smaller than the input."""
    decoder_channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(None, min_length=1)
    """Widths of the decoder, deepest first; None takes the decoder's own. See: lungzoo list decoders."""
    decoder_convs: int = Field(2, ge=1, le=4)
    """3×3 convolutions per decoder block."""
    decoder_norm: Normalisation = "batch"
    """Normalisation of the decoder: "batch", "group" (of 8 channels) or "instance"."""
    decoder_attention: Attention = "none"
    """Attention after each decoder block: "none" or "scse"."""
    decoder_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of feature channels dropped before the mask head while training."""
    decoder_upsampling: Upsampling = "nearest"
    """How the decoder's features grow: "nearest", "bilinear" or "transpose" (learned)."""
    deep_supervision: bool = False
    """Train auxiliary mask heads on coarser decoder levels; the weight of level n is 2⁻ⁿ."""
    in_channels: int = Field(1, ge=1, le=256)
    """Channels of a slice; CT has one."""
    in_slices: int = Field(1, ge=1, le=65)
    """Odd number of neighbouring slices seen at once: channels of a 2D model ("2.5D"), depth of a 3D model's patch."""
    classes: int = Field(1, ge=1, le=256)
    """Channels of the mask head: 1 is lesion or not (sigmoid), n are exclusive classes, background first (softmax)."""
    labels: tuple[str, ...] = Field((), max_length=256)
    """Names of the classes of the label head on the deepest level, such as ["benign", "malignant"]; empty for none."""

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.in_slices % 2 == 0:
            raise ValueError(f"in_slices must be odd: a slice and as many on either side. Received: {self.in_slices}")
        if len(self.labels) == 1 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels needs two or more different names, or none. Received: {list(self.labels)}")
        return self


class TransferConfig(Frozen):
    """Where the weights come from and which parts train. Short form: "imagenet-finetune"."""

    recipe: str = Field("scratch", min_length=1)
    """Which parts train, and when. See: lungzoo list recipes."""
    weights: str | None = Field(None, min_length=1)
    """None (random), an encoder's ("imagenet", "lidc"), or a whole model's: "lungzoo:NAME", "run:ID", a file."""
    options: Options = ()
    """Options that the recipe declares, such as `decay` of "discriminative"."""
    new_head: bool = False
    """With the weights of a whole model: start the heads anew, as other classes need."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Of the weights file; filled in before a run starts. Given beforehand, weights that have changed are refused."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.startswith(TUNED):
            return {"recipe": value}
        weights, dash, recipe = value.rpartition("-")
        return {"recipe": recipe, "weights": weights} if dash else {"recipe": value}

    @property
    def starts_from(self) -> Literal["nothing", "encoder", "lungzoo", "run", "file"]:
        """What kind of thing `weights` names."""
        if self.weights is None:
            return "nothing"
        if self.weights.startswith("lungzoo:"):
            return "lungzoo"
        if self.weights.startswith("run:"):
            return "run"
        return "file" if "/" in self.weights or "\\" in self.weights or "." in self.weights else "encoder"

    @property
    def slug(self) -> str:
        """The short form, used in arm names: "scratch", "imagenet-frozen", "imagenet-discriminative decay=0.5"."""
        options = "".join(f" {key}={value}" for key, value in self.options)
        return (f"{self.weights}-{self.recipe}" if self.weights else self.recipe) + options
