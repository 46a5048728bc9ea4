"""Batches that fit, and answers from logits."""

import numpy as np
import pytest

from lungzoo.inference.batches import Answers, Batches, MemoryRanOut, answers_of


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's is."""


class Limited:
    """Answers with its input, and has no memory for more than `most` of them."""

    def __init__(self, most: int) -> None:
        self.most, self.sizes = most, list[int]()

    def __call__(self, batch: np.ndarray) -> Answers:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise ResourceExhaustedError("OOM when allocating tensor")
        return batch[..., 0], None


def test_memory_that_runs_out_halves_the_batch_and_says_so() -> None:
    model, lines = Limited(3), list[str]()
    inputs = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    batches = Batches(model, 8, lines.append)
    answer, labels = batches(inputs)
    assert answer.ravel().tolist() == list(range(10))
    assert labels is None
    assert lines == ["Memory ran out; going on with batches of 4.", "Memory ran out; going on with batches of 2."]
    assert batches.size == 2
    assert model.sizes == [8, 4, 2, 2, 2, 2, 2]


def test_one_that_is_too_large_is_an_error() -> None:
    with pytest.raises(MemoryRanOut, match=r"Memory ran out on a single input of 4×4×1\. Cut .* --tile 256"):
        Batches(Limited(0), 2, lambda line: None)(np.zeros((2, 4, 4, 1), np.float32))


def test_the_last_batch_is_filled_up() -> None:
    model = Limited(8)
    answer, _ = Batches(model, 4, print)(np.ones((6, 1, 1, 1), np.float32))
    assert len(answer) == 6
    assert model.sizes == [4, 4]


def test_other_errors_pass() -> None:
    def broken(batch: np.ndarray) -> Answers:
        raise ValueError("shape")

    with pytest.raises(ValueError, match="shape"):
        Batches(broken, 2, print)(np.zeros((1, 1, 1, 1), np.float32))


class Fixed:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def predict_on_batch(self, batch: np.ndarray) -> object:
        return self.answer


def test_probabilities_of_one_channel_are_sigmoid() -> None:
    mask, labels = answers_of(Fixed(np.array([[[[0.0], [np.log(3.0)], [-500.0]]]])))(np.zeros(1))
    assert mask.tolist() == [[[0.5, pytest.approx(0.75), 0.0]]]
    assert labels is None


def test_of_several_channels_lesion_is_what_is_not_background() -> None:
    logits = np.log(np.array([[[[0.2, 0.3, 0.5]]]]))
    mask, labels = answers_of(Fixed({"mask": logits, "label": np.log([[0.25, 0.75]])}))(np.zeros(1))
    assert mask == pytest.approx(np.array([[[0.8]]]))
    assert labels == pytest.approx(np.array([[0.25, 0.75]]))
