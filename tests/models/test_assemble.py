import numpy as np
import pytest

from lungzoo.config import ModelConfig, TransferConfig
from lungzoo.errors import ConfigError, UnknownNameError
from lungzoo.models.assemble import build_model
from lungzoo.models.starts import check_start


def check(transfer: str = "scratch", **model) -> None:
    check_start(ModelConfig(**model), TransferConfig.model_validate(transfer))


def test_unknown_model_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown model 'unet_resnet5O'. Did you mean 'unet_resnet50'"):
        check(name="unet_resnet5O")


def test_unknown_encoder_option_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Encoder 'mobilenetv2' has no option 'alfa'. Did you mean 'alpha'"):
        check(name="unet_mobilenetv2", encoder_options={"alfa": 0.35})


def test_weights_that_do_not_exist():
    with pytest.raises(ConfigError, match=r"Encoder 'cnn' has no 'imagenet' weights. Allowed: none"):
        check("imagenet-finetune", name="cnn_scratch")


def test_a_width_without_pretrained_weights_is_refused():
    with pytest.raises(ConfigError, match=r"has no 'imagenet' weights for alpha = 0.4. Allowed: 0.35, 0.5"):
        check("imagenet-finetune", name="unet_mobilenetv2", encoder_options={"alpha": 0.4})


@pytest.mark.parametrize(
    ("transfer", "message"),
    [
        ("finetune", "needs pretrained weights, written before it, such as 'imagenet-finetune'"),
        ("imagenet-scratch", "starts from random weights. Received: weights 'imagenet'"),
        ("imagenet-frosen", "Unknown recipe 'frosen'. Did you mean 'frozen'"),
    ],
)
def test_recipe_and_weights_must_fit(transfer, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        check(transfer, name="unet_mobilenetv2")


@pytest.mark.parametrize("alpha", [0.35, 0.42, 1.0])
def test_mobilenetv2_of_any_width(alpha):
    config = ModelConfig(name="unet_mobilenetv2", encoder_options={"alpha": alpha}, decoder_channels=(8, 8, 8, 8, 8))
    model = build_model(config)
    assert model(np.zeros((1, 32, 32, 1), "float32")).shape == (1, 32, 32, 1)


def test_a_shallower_encoder_leaves_out_the_deep_layers():
    deep = build_model(ModelConfig(name="unet_mobilenetv2", encoder_options={"alpha": 0.35}))
    shallow = build_model(
        ModelConfig(
            name="unet_mobilenetv2",
            encoder_options={"alpha": 0.35},
            encoder_depth=4,
            decoder_channels=(64, 48, 32, 16),
            decoder_convs=1,
        )
    )
    assert shallow.count_params() < deep.count_params() / 4


def test_the_prediction_of_a_padded_image_ignores_nothing_inside_it():
    """The last row of an odd-sized image reaches the output."""
    model = build_model(ModelConfig(name="cnn_scratch", decoder_channels=(8, 8, 8, 8, 8), decoder_convs=1))
    picture = np.random.default_rng(0).random((1, 50, 70, 1), "float32")
    changed = picture.copy()
    changed[0, -1, -1] += 1
    difference = np.abs(np.asarray(model(picture)) - np.asarray(model(changed)))
    assert difference[0, -1, -1, 0] > 0
