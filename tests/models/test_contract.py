"""What every model of the zoo promises, tried with every decoder on a small encoder.

Encoders and decoders have contract tests of their own, so their pairs need not all be built here.
"""

import subprocess
import sys

import keras
import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.decoders import DECODERS
from lungzoo.encoders import ENCODERS
from lungzoo.models.assemble import build_model
from lungzoo.models.levels import apply_stage, encoder_groups
from lungzoo.models.transfer import Stage
from lungzoo.models.zoo import MODELS

SMALL = {"encoder_options": {"width": 4}, "encoder_depth": 3, "decoder_convs": 1}
WIDTHS = (16, 12, 8, 8, 4)
EAGERLY = keras.backend.backend() == "tensorflow"  # whose graphs take longer to trace than a few steps take


def config_of(name: str) -> ModelConfig:
    decoder = MODELS.get(name).decoder
    return ModelConfig(name=name, decoder_channels=WIDTHS[: max(3, len(DECODERS.get(decoder).channels))], **SMALL)


@pytest.fixture(scope="module", params=[name for name, spec in MODELS.items() if spec.encoder == "cnn"])
def model(request):
    return build_model(config_of(request.param))


def image(height: int, width: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((count, height, width, 1), "float32")


def test_every_encoder_goes_with_every_decoder():
    ours = {(spec.encoder, spec.decoder) for _, spec in MODELS.items() if spec.provider == "lungzoo" and spec.dims == 2}
    assert ours == {(encoder, decoder) for encoder in ENCODERS.names() for decoder in DECODERS.names()}
    assert len(MODELS.names()) >= 500


def test_every_row_is_described_and_checks_its_defaults():
    for name, spec in MODELS.items():
        assert spec.description, name
        depth = 4 if name == "unetr" else 5
        spec.check(ModelConfig(name=name, encoder_depth=depth, in_slices=5 if spec.dims == 3 else 1), None)


def test_a_row_tells_its_levels_and_widths(model):
    spec, config = MODELS.get(model.name), config_of(model.name)
    assert spec.levels(config) == len(encoder_groups(model.get_layer("encoder")))
    assert spec.widths(config) == config.decoder_channels[: len(spec.widths(config))]


@pytest.mark.parametrize("sides", [(50, 70), (129, 65)])
def test_any_height_and_width(model, sides):
    logits = np.asarray(model(image(*sides), training=False))
    assert logits.shape == (1, *sides, 1)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", ["unet_mobilenetv2", "cnn_scratch"])
def test_a_large_odd_size(name):
    options = {} if name == "cnn_scratch" else {"encoder_options": {"alpha": 0.35}}
    model = build_model(ModelConfig(name=name, decoder_channels=WIDTHS, decoder_convs=1, **options))
    assert model(image(513, 257), training=False).shape == (1, 513, 257, 1)


def test_saves_and_reloads_without_custom_objects(model, tmp_path):
    import keras

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    picture = image(50, 70)
    np.testing.assert_array_equal(model(picture, training=False), again(picture, training=False))


def test_one_step_lowers_the_loss_and_freezing_holds(model):
    """A few steps on a fixed batch, encoder frozen: the loss falls, and every encoder value stays bit-identical."""
    apply_stage(model, Stage(1.0, encoder_levels=0))
    model.compile("adam", "mse", jit_compile=False, run_eagerly=EAGERLY)
    model.optimizer.learning_rate = 1e-2
    picture = image(32, 32, 2)
    target = (picture > 0.5).astype("float32")
    before = model.get_layer("encoder").get_weights()
    first = model.train_on_batch(picture, target)
    for _ in range(3):
        last = model.train_on_batch(picture, target)
    assert last < first
    for old, new in zip(before, model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_encoder_is_a_layer_of_its_own(model):
    assert model.get_layer("encoder").count_params() > 0


RELOAD = """
import sys, numpy as np, lungzoo, keras
model = keras.models.load_model(sys.argv[1])
print("shape", model(np.zeros((1, 40, 56, 1), "float32")).shape)
"""


def test_reloads_in_a_process_that_imported_only_lungzoo(tmp_path):
    import lungzoo

    options = {"encoder_options": {"alpha": 0.35}, "decoder_channels": (8,) * 5}
    model = lungzoo.create_model("pspnet_mobilenetv2", decoder_upsampling="bilinear", **options)
    model.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path / "model.keras")], capture_output=True, text=True, timeout=200
    )
    assert "shape (1, 40, 56, 1)" in done.stdout, done.stderr[-2000:]
