"""3D models: tiny widths, few slices."""

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import ConfigError
from lungzoo.models.assemble import build_model
from lungzoo.models.levels import encoder_groups
from lungzoo.models.unet3d import level_strides
from lungzoo.models.zoo import MODELS

TINY = {
    "unet3d": {"encoder_depth": 3, "encoder_options": {"width": 2, "max_width": 8}},
    "unetr": {
        "encoder_depth": 4,
        "encoder_options": {"width": 8, "layers": 4, "heads": 2, "mlp_width": 16, "features": 2, "size_px": 32},
    },
}


def config_of(name: str, **settings) -> ModelConfig:
    return ModelConfig(name=name, **{"in_slices": 5, "decoder_convs": 1, **TINY[name], **settings})


def volume(slices: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, slices, height, width, 1), "float32")


def logits(model, patch) -> np.ndarray:
    return np.asarray(model(patch, training=False))


@pytest.mark.parametrize(
    ("slices", "depth", "along_z"),
    [
        (3, 5, [1, 1, 1, 1, 1, 1]),
        (5, 5, [1, 1, 1, 1, 1, 2]),
        (7, 4, [1, 1, 1, 1, 2]),
        (9, 5, [1, 1, 1, 1, 2, 4]),
        (33, 3, [1, 2, 4, 8]),
    ],
)
def test_z_is_halved_late_and_seldom(slices, depth, along_z):
    strides = level_strides(slices, depth)
    assert list(strides.values()) == [(z, 2**level, 2**level) for level, z in enumerate(along_z)]


def test_positions_are_interpolated_linearly():
    from lungzoo.models.volume_layers import PositionEmbedding

    layer = PositionEmbedding((1, 1, 2))
    layer.build((None, None, None, None, 1))
    layer.table.assign([[[[0.0], [4.0]]]])
    same, finer = (np.asarray(layer(np.zeros((1, 1, 1, size, 1), "float32"))) for size in (2, 4))
    assert same.ravel().tolist() == [0, 4]
    assert finer.ravel().tolist() == [0, 1, 3, 4]


@pytest.fixture(scope="module", params=TINY)
def model(request):
    return build_model(config_of(request.param))


def test_a_row_tells_its_levels_and_widths(model):
    spec, config = MODELS.get(model.name), config_of(model.name)
    assert spec.levels(config) == len(encoder_groups(model.get_layer("encoder")))
    assert len(spec.widths(config)) == config.encoder_depth


@pytest.mark.parametrize("sides", [(5, 32, 32), (5, 50, 70), (3, 33, 20), (8, 16, 16)])
def test_any_size(model, sides):
    result = logits(model, volume(*sides))
    assert result.shape == (1, *sides, 1)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()


def test_saves_and_reloads_without_custom_objects(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    patch = volume(5, 50, 70)
    np.testing.assert_array_equal(logits(model, patch), logits(again, patch))


def test_names_are_lasting_and_unique(model):
    paths = [variable.path for variable in model.variables]
    assert paths == [variable.path for variable in build_model(config_of(model.name)).variables]
    assert len(set(paths)) == len(paths)


def test_levels_have_the_strides_that_are_promised(model):
    config = config_of(model.name)
    encoder, strides = model.get_layer("encoder"), MODELS.get(model.name).build(config, None).strides
    pyramid = encoder(np.zeros((1, 6, 32, 48, 1), "float32"))
    assert {level: tuple(map(int, x.shape[1:4])) for level, x in pyramid.items()} == {
        level: (6 // z, 32 // y, 48 // x) for level, (z, y, x) in strides.items()
    }


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", TINY)
def test_trains_a_step(name, policy):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build_model(config_of(name))
    finally:
        keras.config.set_dtype_policy(before)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False, run_eagerly=True)
    patch = volume(5, 32, 32)
    start = model.get_weights()
    losses = [float(model.train_on_batch(patch, (patch > 0.5).astype("float32"))) for _ in range(3)]
    assert losses[-1] < losses[0]
    moved = [np.abs(new - old).max() > 0 for new, old in zip(model.get_weights(), start, strict=True)]
    assert np.mean(moved) > 0.9


def test_decoder_settings():
    from keras import layers

    model = build_model(
        config_of(
            "unet3d",
            decoder_upsampling="transpose",
            decoder_norm="group",
            decoder_dropout=0.5,
            deep_supervision=True,
            classes=2,
            labels=("benign", "malignant"),
        )
    )
    outputs = model(volume(5, 32, 40), training=False)
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "mask": (1, 5, 32, 40, 2),
        "aux_P1": (1, 5, 32, 40, 2),
        "aux_P2": (1, 5, 32, 40, 2),
        "label": (1, 2),
    }
    assert isinstance(model.get_layer("decoder_P0_up"), layers.Conv3DTranspose)
    assert isinstance(model.get_layer("decoder_P0_norm0"), layers.GroupNormalization)
    assert model.get_layer("decoder_dropout").rate == 0.5


def test_the_paper_s_widths():
    model = build_model(ModelConfig(name="unet3d", in_slices=3, encoder_depth=3, encoder_options={"max_width": 512}))
    pyramid = model.get_layer("encoder").output
    assert [pyramid[level].shape[-1] for level in sorted(pyramid)] == [64, 128, 256, 512]
    assert [model.get_layer(f"decoder_P{n}_conv0").filters for n in (2, 1, 0)] == [256, 128, 64]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("unet3d", {"in_slices": 1}, r"'unet3d' is 3D and needs in_slices of at least 3. Received: 1"),
        ("unetr", {"encoder_depth": 5}, r"'unetr' has no encoder_depth = 5. Allowed: 4"),
        ("unet3d", {"decoder_attention": "scse"}, r"has no decoder_attention = scse. Allowed: none"),
        ("unet3d", {"decoder_upsampling": "bilinear"}, r"upsampling = bilinear. Allowed: nearest, transpose"),
        ("unet3d", {"decoder_channels": (8,)}, r"needs 3 decoder_channels .*Received: \[8\]"),
        ("unet3d", {"encoder_options": {"widht": 8}}, r"has no option 'widht'. Did you mean 'width'"),
        ("unetr", {"encoder_options": {"layers": 6}}, r"'layers' must be a multiple of 4. Received: 6"),
        ("unetr", {"encoder_options": {"width": 8, "heads": 3}}, r"'width' must be a multiple of 'heads', 3"),
    ],
)
def test_settings_that_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.get(name).check(config_of(name, **settings), None)


def test_there_are_no_pretrained_weights():
    with pytest.raises(ConfigError, match=r"'unet3d' has no 'imagenet' weights. Allowed: none"):
        MODELS.get("unet3d").check(config_of("unet3d"), "imagenet")
