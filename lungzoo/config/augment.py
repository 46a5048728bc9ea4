"""Random changes of a training case."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lungzoo.schema import Frozen

# "medium" follows nnU-Net where it has the operation: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, note 4.
AUGMENT_PRESETS: dict[str, dict[str, Any]] = {
    "none": {"flip": False, "intensity": 0.0},
    "light": {"shift_px": 4, "intensity": 0.1, "warp_share": 0.5, "rotate_deg": 10.0, "scale": 0.1},
    "medium": {
        "shift_px": 8,
        "intensity": 0.15,
        "warp_share": 0.5,
        "rotate_deg": 30.0,
        "scale": 0.25,
        "elastic": 0.03,
        "effect_share": 0.15,
        "gamma": 0.4,
        "noise": 0.05,
        "blur_px": 1.0,
        "low_resolution": 2.0,
    },
    "heavy": {
        "shift_px": 16,
        "intensity": 0.2,
        "warp_share": 0.8,
        "rotate_deg": 180.0,
        "scale": 0.4,
        "elastic": 0.05,
        "effect_share": 0.25,
        "gamma": 0.8,
        "noise": 0.08,
        "blur_px": 1.5,
        "low_resolution": 3.0,
        "cutout": 0.35,
        "mixup": 0.3,
        "copy_paste": 0.2,
    },
}


def without_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an augmentation without its preset and what that set; values given beside it stay."""
    own = AUGMENT_PRESETS.get(str(values.get("preset")), {})
    return {key: value for key, value in values.items() if key != "preset" and (key not in own or own[key] != value)}


class AugmentConfig(Frozen):
    """Random changes of a training case; image and mask move together, all slices of a stack alike.

    Keys given beside a preset take the place of its values. Sources are with the operations, in lungzoo.data.augment.
    """

    preset: Literal["none", "light", "medium", "heavy"] | None = None
    """Settings that the other keys start from, and win over where they are given; None starts from their defaults."""
    shift_px: int = Field(0, ge=0)
    """Largest shift along each axis in pixels; the border is mirrored."""
    flip: bool = True
    """Mirror left-right and up-down, each with probability one half."""
    intensity: float = Field(0.1, ge=0, le=1)
    """Largest relative change of contrast and absolute change of brightness, image in [0, 1]."""
    warp_share: float = Field(0.5, ge=0, le=1)
    """Share of the cases that are rotated, scaled and bent; the others are only shifted and mirrored."""
    rotate_deg: float = Field(0.0, ge=0, le=180)
    """Largest rotation either way."""
    scale: float = Field(0.0, ge=0, le=1)
    """Largest growth or shrinkage: the content is scaled by a factor between 1 / (1 + scale) and 1 + scale."""
    elastic: float = Field(0.0, ge=0, le=0.1)
    """Largest displacement by a smooth random field along each axis, as a share of the image's side."""
    effect_share: float = Field(0.15, ge=0, le=1)
    """Share of the cases that have each of the following changes up to mix-up, each drawn for itself."""
    gamma: float = Field(0.0, ge=0, le=4)
    """Image in [0, 1] to the power of a number between 1 / (1 + gamma) and 1 + gamma."""
    noise: float = Field(0.0, ge=0, le=1)
    """Largest standard deviation of Gaussian noise, image in [0, 1]."""
    blur_px: float = Field(0.0, ge=0, le=8)
    """Largest standard deviation of a Gaussian blur."""
    low_resolution: float = Field(1.0, ge=1, le=8)
    """Largest factor by which the pixels are coarsened and interpolated back; 1 for none."""
    cutout: float = Field(0.0, ge=0, lt=1)
    """Largest side of an erased rectangle, as a share of the image's; what is erased is no lesion either."""
    mixup: float = Field(0.0, ge=0, le=0.5)
    """Largest weight of another case's image; the mask stays that of the heavier one, so it stays 0 and 1."""
    copy_paste: float = Field(0.0, ge=0, le=1)
    """Share of the cases that get the lesion of another one, where it falls on lung."""
    foreground: float = Field(0.0, ge=0, le=1)
    """Share of an epoch's cases that have a lesion, where fewer do; they take the places of others. 0 leaves it."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, value: Any) -> Any:
        return {**AUGMENT_PRESETS.get(str(value.get("preset")), {}), **value} if isinstance(value, dict) else value
