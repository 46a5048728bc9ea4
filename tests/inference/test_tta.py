"""Mirror images."""

import numpy as np
import pytest

from lungzoo.inference.batches import Answers
from lungzoo.inference.tta import with_flips


@pytest.mark.parametrize("shape", [(2, 3, 5, 1), (2, 3, 4, 5, 2)])
def test_what_answers_pixel_by_pixel_answers_the_same(shape: tuple[int, ...]) -> None:
    batch = np.random.default_rng(0).random(shape, np.float32)
    mask, labels = with_flips(lambda image: (image[..., 0], None))(batch)
    assert mask == pytest.approx(batch[..., 0])
    assert labels is None


def test_what_sees_a_side_is_averaged_over_the_sides() -> None:
    def left(image: np.ndarray) -> Answers:
        answer = np.zeros(image.shape[:-1], np.float32)
        answer[..., 0] = 1
        return answer, image[:, 0, 0]

    batch = np.array([[[[0.0], [1.0]], [[2.0], [3.0]]]], np.float32)
    mask, labels = with_flips(left)(batch)
    assert mask.tolist() == [[[0.5, 0.5], [0.5, 0.5]]]
    assert labels.tolist() == [[1.5]]  # each corner was once the first
