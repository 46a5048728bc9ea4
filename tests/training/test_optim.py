import keras
import numpy as np
import pytest

from lungzoo.config import TrainConfig
from lungzoo.training.optim import make_optimizer


def rate(optimizer, step: int) -> float:
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


def test_warms_up_linearly_and_decays_to_zero():
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, warmup_epochs=0.5), steps_per_epoch=10, epochs=4)
    assert rate(optimizer, 0) == pytest.approx(0.0)
    assert rate(optimizer, 2) == pytest.approx(0.04)
    assert rate(optimizer, 5) == pytest.approx(0.1)
    assert rate(optimizer, 40) == pytest.approx(0.0, abs=1e-6)


def test_a_run_shorter_than_the_warmup():
    optimizer = make_optimizer(TrainConfig(warmup_epochs=5.0), steps_per_epoch=1, epochs=1)
    assert 0 <= rate(optimizer, 1) <= 1.001e-3


def test_no_warmup_starts_at_the_top():
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, warmup_epochs=0.0), steps_per_epoch=10, epochs=1)
    assert rate(optimizer, 0) == pytest.approx(0.1)


def stepped(factors: list[float]) -> list[float]:
    """Values of variables that start at 0 after one step with gradient 1."""
    optimizer = make_optimizer(TrainConfig(learning_rate=0.1, warmup_epochs=0.0, weight_decay=0.0), 10, 1)
    variables = [keras.Variable(0.0) for _ in factors]
    optimizer.build_with(variables, {id(v): f for v, f in zip(variables, factors, strict=True) if f != 1})
    optimizer.apply([keras.ops.convert_to_tensor(1.0)] * len(variables), variables)
    return [float(variable) for variable in variables]


def test_a_factor_scales_the_step_of_its_variable():
    """Adam's first step is the learning rate, whatever the gradient: scaling the gradient would change nothing."""
    np.testing.assert_allclose(stepped([1.0, 0.5, 0.25]), [-0.1, -0.05, -0.025], rtol=1e-4)
    np.testing.assert_allclose(stepped([1.0, 1.0]), [-0.1, -0.1], rtol=1e-4)
