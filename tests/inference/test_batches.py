"""Batches that fit, and answers from logits."""

import numpy as np
import pytest

from lungzoo.inference.batches import Answers, Batches, MemoryRanOut, answers_of, memory_named


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


def test_making_the_inputs_may_take_the_memory_too() -> None:
    """Stacks of slices, scaled, take more than the network for its input; no more than two at once fit here."""

    def make(span: slice) -> np.ndarray:
        if span.stop - span.start > 2:
            raise MemoryError
        return np.arange(span.start, span.stop, dtype=np.float32).reshape(-1, 1, 1, 1)

    lines = list[str]()
    batches = Batches(Limited(8), 4, lines.append)
    answer, _ = batches.made(5, make)
    assert answer.ravel().tolist() == [0, 1, 2, 3, 4]
    assert lines == ["Memory ran out; going on with batches of 2."]
    with pytest.raises(MemoryRanOut, match=r"Memory ran out on a single input\. Cut slices .* --tile 256"):
        Batches(Limited(8), 1, print).made(5, lambda span: make(slice(0, 3)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), r"^Memory ran out\. Free some memory, or give the scan in parts of fewer slices\.$"),
        (MemoryError("Unable to allocate 3 GiB"), r"^Memory ran out \(Unable to allocate 3 GiB\)\. Free "),
        (ResourceExhaustedError("failed to allocate memory\n[Op:Cast]"), r"^Memory ran out \(failed to .* memory\)\. "),
    ],
)
def test_memory_that_runs_out_elsewhere_is_named(error: Exception, words: str) -> None:
    with pytest.raises(MemoryRanOut, match=words), memory_named():
        raise error


def test_what_is_not_memory_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="shape"), memory_named():
        raise ValueError("shape")


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
