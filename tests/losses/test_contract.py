"""What every registered loss promises."""

import inspect
import re

import numpy as np
import pytest

from lungzoo.config import LossTerm
from lungzoo.errors import ConfigError
from lungzoo.losses import LOSSES
from lungzoo.losses.combine import check_terms, loss_options, make_loss

SHAPE = (2, 8, 8, 1)

# Hinge errors of logits with one class, errors of probabilities with several.
DIFFERENT_WITH_TWO_CLASSES = ("lovasz",)
SEES_EMPTY_CASES = ("bce", "dice_ce", "focal")


@pytest.fixture(params=LOSSES.names())
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    return LOSSES.get(name)


def square() -> np.ndarray:
    mask = np.zeros(SHAPE, "float32")
    mask[:, 2:6, 2:6] = 1
    return mask


def three_classes() -> np.ndarray:
    """Background, a square in both cases, a bar in the first alone."""
    labels = square()[..., 0].astype(int)
    labels[0, 7, 1:7] = 2
    return np.eye(3, dtype="float32")[labels]


def random_logits(shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def certain(mask: np.ndarray) -> np.ndarray:
    return 10 * (2 * mask - 1)


def test_is_documented(loss):
    for part in (r"Return .+\.\n", "Args:", r"y_true: \(B, …, C\)", "Range: ", "Empty masks: ", "Source: "):
        assert re.search(part, loss.__doc__), part
    for option in loss_options(loss):
        assert re.search(rf"{option}: .+ [(\[]\d", loss.__doc__), option


def test_options_are_keyword_only_and_have_a_default_and_a_range(name, loss):
    first, second, *options = inspect.signature(loss).parameters.values()
    assert [first.name, second.name] == ["y_true", "y_pred"]
    assert all(option.kind is inspect.Parameter.KEYWORD_ONLY for option in options)
    for key, option in loss_options(loss).items():
        check_terms((LossTerm(name=name, options={key: option.default}),))
        for value in (-1e9, 1e9, "1", True):
            with pytest.raises(ConfigError, match=f"Option '{key}' of loss '{name}' must"):
                check_terms((LossTerm(name=name, options={key: value}),))


def test_every_option_has_an_effect(name, loss):
    mask, logits = square(), random_logits()
    for key, option in loss_options(loss).items():
        other = make_loss((LossTerm(name=name, options={key: 1.25 * option.default}),))
        assert float(other(mask, logits)) != pytest.approx(float(loss(mask, logits)), rel=1e-3)


@pytest.mark.parametrize("mask", [square(), three_classes()], ids=["one class", "three classes"])
def test_a_right_answer_costs_less_than_a_wrong_one(loss, mask):
    right = float(loss(mask, certain(mask)))
    assert 0 <= right < 0.05
    silent, everywhere = certain(np.zeros_like(mask)), certain(np.ones_like(mask))
    if mask.shape[-1] > 1:
        silent[..., 0], everywhere[..., 0] = 10, -10
    for wrong in (-certain(mask), silent, everywhere):
        assert float(loss(mask, wrong)) > 0.05


@pytest.mark.parametrize("classes", [1, 3])
def test_is_finite_for_extreme_logits_and_empty_masks(loss, classes, value_and_gradient):
    empty = np.zeros((*SHAPE[:-1], classes), "float32")
    empty[..., : classes - 1] = np.eye(classes)[0][: classes - 1]
    for mask in (square() if classes == 1 else three_classes(), empty):
        extremes = [np.full_like(mask, value) for value in (-1e4, 0.0, 1e4)]
        for logits in (*extremes, 1e4 * (2 * mask - 1), 1e4 * (1 - 2 * mask)):
            value, gradient = value_and_gradient(loss, mask, logits)
            assert value >= 0
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()


def test_empty_cases(name, loss, value_and_gradient):
    mask, logits = np.zeros(SHAPE, "float32"), random_logits()
    value, gradient = value_and_gradient(loss, mask, logits)
    if name in SEES_EMPTY_CASES:
        assert value > 0
        assert (gradient > 0).all()
    else:
        assert value == 0
        assert (gradient == 0).all()
    assert float(loss(mask, np.full(SHAPE, -30.0, "float32"))) == pytest.approx(0, abs=1e-6)


def test_an_empty_case_beside_a_lesion(name, loss):
    mask, logits = square(), random_logits()
    alone = float(loss(mask[:1], logits[:1]))
    mask[1] = 0
    together = float(loss(mask, logits))
    assert (together == pytest.approx(alone, rel=1e-5)) == (name not in SEES_EMPTY_CASES)


@pytest.mark.parametrize("mask", [square(), three_classes()], ids=["one class", "three classes"])
def test_gradient_equals_finite_differences(loss, mask, value_and_gradient):
    logits = random_logits(mask.shape)
    _, gradient = value_and_gradient(loss, mask, logits)
    for place in [(0, 0, 0, 0), (0, 3, 3, 0), (1, 5, 2, -1)]:
        step = np.zeros_like(mask)
        step[place] = 1e-2
        slope = (float(loss(mask, logits + step)) - float(loss(mask, logits - step))) / 2e-2
        assert gradient[place] == pytest.approx(slope, rel=0.05, abs=2e-5)


def test_compiled_by_xla_it_gives_the_same(loss, value_and_gradient):
    mask, logits = square(), random_logits()
    value, gradient = value_and_gradient(loss, mask, logits)
    compiled_value, compiled_gradient = value_and_gradient(loss, mask, logits, jit=True)
    assert compiled_value == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(compiled_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_sizes_may_be_unknown_while_tracing(loss):
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow traces with unknown sizes")
    import tensorflow as tf

    unknown = tf.TensorSpec((None, None, None, 1))
    mask, logits = square()[:, 1:], random_logits()[:, 1:]
    traced = tf.function(loss, input_signature=[unknown, unknown])
    assert float(traced(tf.constant(mask), tf.constant(logits))) == pytest.approx(float(loss(mask, logits)), rel=1e-5)


def test_half_precision_and_integers_are_cast_first(loss):
    from keras import ops

    mask, logits = square(), random_logits().astype("float16")
    value = loss(mask.astype("uint8"), ops.convert_to_tensor(logits))
    assert ops.dtype(value) == "float32"
    assert float(value) == pytest.approx(float(loss(mask, logits.astype("float32"))), rel=1e-6)


def test_two_exclusive_classes_are_one_class(name, loss, two_classes):
    mask, logits = square(), random_logits()
    same = float(loss(*two_classes(mask, logits))) == pytest.approx(float(loss(mask, logits)), rel=1e-5)
    assert same == (name not in DIFFERENT_WITH_TWO_CLASSES)


def test_a_volume_of_one_slice_is_a_slice(loss):
    mask, logits = square(), random_logits()
    assert float(loss(mask[:, None], logits[:, None])) == pytest.approx(float(loss(mask, logits)), rel=1e-5)


def test_the_order_of_cases_does_not_matter(loss):
    mask, logits = three_classes(), random_logits((*SHAPE[:-1], 3))
    assert float(loss(mask[::-1], logits[::-1])) == pytest.approx(float(loss(mask, logits)), rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 3), (2, 8, 4, 1)])
def test_masks_of_another_shape_are_refused(loss, shape):
    with pytest.raises(ConfigError, match=re.escape(f"Received: masks {shape}, logits {SHAPE}")):
        loss(np.zeros(shape, "float32"), random_logits())
