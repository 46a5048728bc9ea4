"""UNETR: a vision transformer over patches of the volume, and deconvolutions from its layers to each resolution.

Hatamizadeh et al. 2021, arXiv:2103.10504; the transformer is ViT-B's, Dosovitskiy et al. 2021, arXiv:2010.11929.
Tokens after one, two and three quarters of the layers become the levels P1, P2 and P3, those after the last P4; two
convolutions of the volume itself are P0. Deviations: a patch is 16 pixels wide, but only as many slices deep as z is
halved on the way down (see `unet3d.level_strides`); and any size is taken: position embeddings are learned for
patches of `size_px` pixels and interpolated for others.
"""

from __future__ import annotations

from typing import Any

from lungzoo.decoders.contract import DecoderStyle
from lungzoo.models.unet3d import Strides, conv_unit3d, halving

DEPTH = 4


def unetr_pyramid(
    image: Any,
    strides: Strides,
    slices: int,
    width: int,
    layers: int,
    heads: int,
    mlp_width: int,
    features: int,
    size_px: int,
) -> dict[str, Any]:
    """Build the encoder; returns {"P0": (None, D, H, W, features), …, "P4": (None, D/z, H/16, W/16, width)}."""
    import keras

    from lungzoo.models.volume_layers import PositionEmbedding, TokensToGrid

    style = DecoderStyle(channels=())
    image = keras.layers.Rescaling(2.0, offset=-1.0, name="scale_input")(image)
    patch = strides[f"P{DEPTH}"]
    patches = keras.layers.Conv3D(width, patch, patch, name="patches")(image)
    grid = (-(-slices // patch[0]), -(-size_px // patch[1]), -(-size_px // patch[2]))
    patches = PositionEmbedding(grid, name="positions")(patches)
    tokens = keras.layers.Reshape((-1, width), name="tokens")(patches)
    taps = {}
    for number in range(1, layers + 1):
        tokens = _transformer_layer(tokens, width, heads, mlp_width, f"layer{number}")
        if number * DEPTH % layers == 0:
            taps[f"P{number * DEPTH // layers}"] = tokens
    taps[f"P{DEPTH}"] = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(tokens)
    pyramid = {"P0": image}
    for step in (0, 1):
        pyramid["P0"] = conv_unit3d(pyramid["P0"], features, style, "P0", number=step)
    for level, tapped in taps.items():
        x = TokensToGrid(name=f"{level}_grid")([tapped, patches])
        pyramid[level] = _grown(x, int(level[1:]), strides, features * 2 ** int(level[1:]), style)
    return pyramid


def _transformer_layer(tokens: Any, width: int, heads: int, mlp_width: int, name: str) -> Any:
    """Self-attention and a perceptron, each normalised before and added to what went in."""
    from keras import layers

    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm0")(tokens)
    x = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")(x, x)
    tokens = layers.Add(name=f"{name}_add0")([tokens, x])
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(tokens)
    x = layers.Dense(mlp_width, activation="gelu", name=f"{name}_dense0")(x)
    x = layers.Dense(width, name=f"{name}_dense1")(x)
    return layers.Add(name=f"{name}_add1")([tokens, x])


def _grown(x: Any, number: int, strides: Strides, channels: int, style: DecoderStyle) -> Any:
    """Bring a grid of tokens from level P4 to a shallower one: deconvolutions with a convolution after each."""
    from keras import layers

    for step in reversed(range(number, DEPTH)):
        factor = halving(strides, step + 1)
        name = f"P{number}_from{step + 1}"
        x = layers.Conv3DTranspose(channels, factor, factor, padding="same", name=f"{name}_up")(x)
        x = conv_unit3d(x, channels, style, name, number=0)
    return x
