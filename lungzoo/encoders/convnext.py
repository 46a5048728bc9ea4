"""ConvNeXts, from `keras.applications`. Their first convolution has stride 4, so there is no level P1."""

from __future__ import annotations

from functools import partial
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import LEVELS, EncoderSpec
from lungzoo.encoders.graft import BY_IMAGENET_STATISTICS, IMAGENET_MEAN, IMAGENET_STD, Before, Skips, graft, scaled


def _convnext(rgb: Any, levels: tuple[str, ...], weights: str | None, size: str) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, f"ConvNeXt{size}")(
        input_shape=(None, None, 3), include_top=False, weights=weights, include_preprocessing=False
    )
    prefix = f"convnext_{size.lower()}_downsampling_block"
    skips: Skips = {
        "P2": Before(f"{prefix}_0"),
        "P3": Before(f"{prefix}_1"),
        "P4": Before(f"{prefix}_2"),
        "P5": None,
    }
    return graft(reference, scaled(rgb, IMAGENET_MEAN, IMAGENET_STD), levels, skips, weights)


for _size in ("Tiny", "Small", "Base", "Large"):
    ENCODERS.add(
        f"convnext{_size.lower()}",
        EncoderSpec(
            name=f"convnext{_size.lower()}",
            title=f"ConvNeXt-{_size}",
            family="convnext",
            backbone=partial(_convnext, size=_size),
            weights=("imagenet",),
            source="keras.applications",
            scaling=BY_IMAGENET_STATISTICS,
            paper="Liu et al. 2022, arXiv:2201.03545",
            licence="Apache-2.0 (Keras); ImageNet weights MIT (Meta)",
            levels=LEVELS[1:],
        ),
    )
