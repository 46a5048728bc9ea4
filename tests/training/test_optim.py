import pytest

from lungzoo.config import TrainConfig
from lungzoo.training.optim import make_optimizer


def rate(step: int, **settings) -> float:
    optimizer = make_optimizer(TrainConfig(learning_rate=0.01, **settings), steps_per_epoch=10, epochs=4)
    return float(optimizer._learning_rate(step))


def test_warms_up_linearly_and_decays_along_a_cosine():
    assert rate(0, warmup_epochs=1) == pytest.approx(0.0)
    assert rate(5, warmup_epochs=1) == pytest.approx(0.005)
    assert rate(10, warmup_epochs=1) == pytest.approx(0.01)
    assert rate(25, warmup_epochs=1) == pytest.approx(0.005, rel=1e-5)  # half way down
    assert rate(40, warmup_epochs=1) == pytest.approx(0.0, abs=1e-8)


def test_without_warm_up_it_starts_at_the_top():
    assert rate(0, warmup_epochs=0) == pytest.approx(0.01)


def test_a_run_shorter_than_its_warm_up_still_trains():
    optimizer = make_optimizer(TrainConfig(warmup_epochs=5, epochs=1), steps_per_epoch=1, epochs=1)
    assert float(optimizer._learning_rate(1)) > 0
