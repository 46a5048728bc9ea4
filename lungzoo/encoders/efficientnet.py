"""EfficientNet and EfficientNetV2, from `keras.applications`."""

from __future__ import annotations

from functools import partial
from typing import Any

from lungzoo.encoders import ENCODERS
from lungzoo.encoders.contract import EncoderSpec
from lungzoo.encoders.graft import (
    BY_IMAGENET_STATISTICS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TO_PLUS_MINUS_ONE,
    Before,
    Skips,
    graft,
    scaled,
)
from lungzoo.errors import WeightsUnavailable

_LICENCE = "Apache-2.0 (Keras); ImageNet weights Apache-2.0 (Google AutoML)"

_SKIPS: Skips = {
    "P1": "block2a_expand_activation",
    "P2": "block3a_expand_activation",
    "P3": "block4a_expand_activation",
    "P4": "block6a_expand_activation",
    "P5": "top_activation",
}
# The first stages of V2 expand and halve in one convolution.
_V2_SKIPS: Skips = {**_SKIPS, "P1": Before("block2a_expand_conv"), "P2": Before("block3a_expand_conv")}


def _efficientnet(rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(input_shape=(None, None, 3), include_top=False, weights=weights)
    if weights is not None:
        _check_statistics(reference, builder)
    # The reference scales its own input, by statistics that only its weights file has; from random weights it would
    # take 0..1 as it is. Here both arms of a comparison get the same scaling.
    return graft(reference, scaled(rgb, IMAGENET_MEAN, IMAGENET_STD), levels, _SKIPS, weights, entry="stem_conv_pad")


def _check_statistics(reference: Any, builder: str) -> None:
    """Raise WeightsUnavailable unless the weights file holds the statistics that we scale by.

    Its "variances" are the standard deviations; a further layer divides by their root.
    """
    import keras
    import numpy as np

    for layer in reference.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, spread = (np.ravel(keras.ops.convert_to_numpy(part)) for part in (layer.mean, layer.variance))
            if not (np.allclose(mean, IMAGENET_MEAN, atol=1e-3) and np.allclose(spread, IMAGENET_STD, atol=1e-3)):
                raise WeightsUnavailable(
                    f"the weights file of {builder} was trained with another input scaling: mean {mean.tolist()}, "
                    f"spread {spread.tolist()}. Expected: {IMAGENET_MEAN}, {IMAGENET_STD}. Fetch it again."
                )


def _efficientnet_v2(
    rgb: Any, levels: tuple[str, ...], weights: str | None, builder: str, by_statistics: bool
) -> dict[str, Any]:
    import keras

    reference = getattr(keras.applications, builder)(
        input_shape=(None, None, 3), include_top=False, weights=weights, include_preprocessing=False
    )
    tensor = scaled(rgb, IMAGENET_MEAN, IMAGENET_STD) if by_statistics else scaled(rgb)
    return graft(reference, tensor, levels, _V2_SKIPS, weights)


for _size in range(8):
    ENCODERS.add(
        f"efficientnetb{_size}",
        EncoderSpec(
            name=f"efficientnetb{_size}",
            title=f"EfficientNet-B{_size}",
            family="efficientnet",
            backbone=partial(_efficientnet, builder=f"EfficientNetB{_size}"),
            weights=("imagenet",),
            source="keras.applications",
            scaling=BY_IMAGENET_STATISTICS,
            paper="Tan & Le 2019, arXiv:1905.11946",
            licence=_LICENCE,
        ),
    )

for _size_v2 in ("B0", "B1", "B2", "B3", "S", "M", "L"):
    _by_statistics = _size_v2 in ("B0", "B1", "B2", "B3")
    ENCODERS.add(
        f"efficientnetv2{_size_v2.lower()}",
        EncoderSpec(
            name=f"efficientnetv2{_size_v2.lower()}",
            title=f"EfficientNetV2-{_size_v2}",
            family="efficientnetv2",
            backbone=partial(_efficientnet_v2, builder=f"EfficientNetV2{_size_v2}", by_statistics=_by_statistics),
            weights=("imagenet",),
            source="keras.applications",
            scaling=BY_IMAGENET_STATISTICS if _by_statistics else TO_PLUS_MINUS_ONE,
            paper="Tan & Le 2021, arXiv:2104.00298",
            licence=_LICENCE,
        ),
    )
