"""Which weights fit which model, and what is said where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lungzoo.config import ModelConfig
from lungzoo.errors import WeightsMismatch
from lungzoo.models.assemble import build_model
from lungzoo.weights.fit import apply_weights
from lungzoo.weights.names import named_variables


def values(model: Any) -> dict[str, np.ndarray]:
    return {name: np.array(variable) for name, variable in named_variables(model).items()}


def built(config: ModelConfig, **changes: Any) -> Any:
    return build_model(ModelConfig.model_validate({**config.model_dump(mode="json"), **changes}))


@pytest.fixture(scope="module")
def arrays(tiny_model: Any) -> dict[str, np.ndarray]:
    """Of the tiny model, moved away from where a new one starts."""
    return {name: value + 0.125 for name, value in values(tiny_model).items()}


def refusal(model: Any, arrays: dict[str, np.ndarray], **options: Any) -> str:
    before = values(model)
    with pytest.raises(WeightsMismatch) as caught:
        apply_weights(model, arrays, **options)
    after = values(model)
    assert all((after[name] == before[name]).all() for name in before), "a refusal changes nothing"
    return str(caught.value)


def test_everything_is_set(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config)
    apply_weights(model, arrays)
    after = values(model)
    assert all((after[name] == arrays[name]).all() for name in arrays)


def test_half_precision_becomes_single(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config)
    apply_weights(model, {name: array.astype("float16") for name, array in arrays.items()})
    kernel = named_variables(model)["head/kernel"]
    assert kernel.dtype == "float32"
    np.testing.assert_array_equal(kernel, arrays["head/kernel"].astype("float16").astype("float32"))


def test_other_classes(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config, classes=3)
    message = refusal(model, arrays)
    assert message.startswith("The weights do not fit the model 'cnn_scratch':\n  head/")
    assert "head/bias: the file has (1,), the model (3,)" in message
    assert message.endswith(
        "The file has classes: 1, the model 3. Use the same classes, or new_head to start the heads anew."
    )


def test_new_heads_stay_as_initialised(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config, classes=3, labels=["benign", "malignant"], deep_supervision=True)
    before = values(model)
    apply_weights(model, arrays, new_head=True)
    after = values(model)
    heads = {name for name in after if name.split("/")[0] in ("head", "label") or name.startswith("aux_")}
    assert {"head/kernel", "label/kernel", "aux_P1_head/kernel"} <= heads
    assert all((after[name] == before[name]).all() for name in heads)
    assert all((after[name] == arrays[name]).all() for name in set(after) - heads)


def test_new_head_of_the_same_shape_is_new_too(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config)
    before = values(model)
    apply_weights(model, arrays, new_head=True)
    assert (values(model)["head/kernel"] == before["head/kernel"]).all()


def test_a_label_head_that_the_file_lacks(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, labels=["benign", "malignant"]), arrays)
    assert "label/kernel: the file lacks it" in message
    assert message.endswith("use the same labels and deep_supervision, or new_head to start them anew.")


def test_other_labels(tiny_config: ModelConfig) -> None:
    three = built(tiny_config, labels=["a", "b", "c"])
    message = refusal(built(tiny_config, labels=["a", "b"]), values(three))
    assert "The file has labels: 3, the model 2. Use the same labels, or new_head" in message


def test_another_decoder(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, decoder_channels=[8, 8, 8]), arrays)
    assert "Build the model that the file's manifest describes; lungzoo.load does" in message


def test_long_lists_are_cut(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, encoder_options={"width": 8}), arrays)
    assert "  … and " in message
    assert len(message.splitlines()) == 8


def test_numbers_of_another_kind(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    whole = {**arrays, "head/bias": arrays["head/bias"].astype("int64")}
    assert "head/bias: the file has (1,) of integers, the model (1,)" in refusal(built(tiny_config), whole)


def test_the_encoder_alone(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config, decoder_channels=[4, 4, 4], classes=2)
    before = values(model)
    apply_weights(model, arrays, part="encoder")
    after = values(model)
    for name in after:
        expected = arrays if name.startswith("encoder/") else before
        np.testing.assert_array_equal(after[name], expected[name])


def test_a_deeper_encoder_in_the_file_is_cut(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    model = built(tiny_config, encoder_depth=2, decoder_channels=[4, 4])
    apply_weights(model, arrays, part="encoder")
    np.testing.assert_array_equal(values(model)["encoder/P2_1_conv/kernel"], arrays["encoder/P2_1_conv/kernel"])


def test_a_shallower_encoder_in_the_file_is_refused(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, encoder_depth=4, decoder_channels=[4] * 4), arrays, part="encoder")
    assert message.startswith("The encoder weights do not fit the model 'cnn_scratch':")
    assert "encoder/P4_0_conv/kernel: the file lacks it" in message
    assert "The file's encoder ends before encoder/P4_0_conv: lower model.encoder_depth" in message


def test_another_encoder(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, encoder_options={"width": 8}), arrays, part="encoder")
    assert "Use the encoder and encoder_options that the file's manifest names." in message


def test_a_layer_with_other_variables_is_another_encoder(
    tiny_config: ModelConfig, arrays: dict[str, np.ndarray]
) -> None:
    biased = {**arrays, "encoder/P1_0_conv/bias": np.zeros(4, "float32")}
    assert "encoder/P1_0_conv/bias: the model lacks it" in refusal(built(tiny_config), biased, part="encoder")


def test_no_encoder_in_the_file(tiny_config: ModelConfig) -> None:
    message = refusal(built(tiny_config), {"head/bias": np.zeros(1, "float32")}, part="encoder")
    assert message.endswith("The file holds no encoder of lungzoo's.")


@pytest.mark.parametrize(("mine", "its"), [(3, 1), (5, 1), (1, 5), (5, 7)])
def test_a_stem_of_other_channels_stays_as_initialised(
    tiny_config: ModelConfig, arrays: dict[str, np.ndarray], mine: int, its: int
) -> None:
    given = values(built(tiny_config, in_slices=its)) if its > 1 else arrays
    model = built(tiny_config, in_slices=mine)
    before = values(model)
    apply_weights(model, given, part="encoder")
    after = values(model)
    for name in [name for name in after if name.startswith("encoder/")]:
        expected = before if "project_to_rgb" in name else given
        np.testing.assert_array_equal(after[name], expected[name])


def test_a_stem_of_the_same_channels_is_set(tiny_config: ModelConfig) -> None:
    given = values(built(tiny_config, in_slices=5))
    given["encoder/project_to_rgb/kernel"] = given["encoder/project_to_rgb/kernel"] * 2
    model = built(tiny_config, in_slices=5)
    apply_weights(model, given, part="encoder")
    np.testing.assert_array_equal(
        values(model)["encoder/project_to_rgb/kernel"], given["encoder/project_to_rgb/kernel"]
    )


def test_a_whole_model_for_other_channels(tiny_config: ModelConfig, arrays: dict[str, np.ndarray]) -> None:
    message = refusal(built(tiny_config, in_slices=5), arrays)
    assert "made for another number of input channels: use the same in_channels and in_slices" in message
