"""Attention U-Net decoder: a U-Net whose coarser features decide which places of a skip connection pass.

Oktay et al. 2018, arXiv:1804.03999. The gate compares at the coarser resolution, as in the paper: a 2×2 convolution of
stride 2 brings the skip connection there, and its sigmoid is enlarged bilinearly. Deviations: upsampling comes from
`upsampling`; the 1×1 convolution after the gate, which the authors' code adds, is left to the block that follows; there
is no skip connection at full resolution, since encoders start at half. Deep supervision takes the levels P1 to P4.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders import DECODERS
from lungzoo.decoders.blocks import conv_block, deepest, finish, upsample
from lungzoo.decoders.contract import Decoded, DecoderSpec, DecoderStyle


def _gated(skip: Any, gating: Any, name: str) -> Any:
    """Return the skip connection times one factor in (0, 1) per place; half its channels compare."""
    from keras import layers

    from lungzoo.decoders.layers.resampling import BilinearUpsampling

    inner = max(1, skip.shape[-1] // 2)
    compared = layers.Conv2D(inner, 2, 2, use_bias=False, name=f"{name}_gate_skip")(skip)
    wanted = layers.Conv2D(inner, 1, kernel_initializer="he_normal", name=f"{name}_gate_wanted")(gating)
    both = layers.Activation("relu", name=f"{name}_gate_relu")(layers.Add(name=f"{name}_gate_sum")([compared, wanted]))
    passes = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_gate_passes")(both)
    passes = BilinearUpsampling(2, name=f"{name}_gate_up")(passes)
    return layers.Multiply(name=f"{name}_gate")([skip, passes])


def _attentionunet(pyramid: dict[str, Any], style: DecoderStyle) -> Decoded:
    from keras import layers

    depth = deepest(pyramid)
    x, auxiliary = pyramid[f"P{depth}"], {}
    for step, number in enumerate(reversed(range(depth))):
        name, coarse = f"decoder_P{number}", x
        x = upsample(x, style, name, channels=style.channels[step])
        if f"P{number}" in pyramid:
            x = layers.Concatenate(name=f"{name}_skip")([x, _gated(pyramid[f"P{number}"], coarse, name)])
        x = auxiliary[f"P{number}"] = conv_block(x, style.channels[step], style, name)
    del auxiliary["P0"]
    return finish(x, auxiliary, style)


DECODERS.add(
    "attentionunet",
    DecoderSpec(
        title="Attention U-Net",
        build=_attentionunet,
        paper="Oktay et al. 2018, arXiv:1804.03999",
        channels=(256, 128, 64, 32, 16),
        widths="one per level, deepest first",
    ),
)
