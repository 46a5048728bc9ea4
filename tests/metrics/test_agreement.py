"""Readers drawn by hand."""

import math

import numpy as np
import pytest

from lungzoo.errors import UsageError
from lungzoo.metrics.agreement import Agreement, agreement, consensus_of, reader_masks

NAN = math.nan


@pytest.fixture
def readers(drawn):
    return np.stack([drawn("##..", "...."), drawn("##..", "##.."), drawn(".##.", "....")])


def answers(found: Agreement) -> tuple[float, ...]:
    return tuple(vars(found).values())


def test_three_readers_and_a_model(readers, drawn):
    found = agreement(readers, drawn("##..", "...."))
    # Dice: A-B 2·2/6, A-C 2·1/4, B-C 2·1/6. The model is A.
    a_b, a_c, b_c = 4 / 6, 2 / 4, 2 / 6
    # Pixels (row, column) by votes: (0,0) AB, (0,1) ABC, (0,2) C, (1,0) B, (1,1) B. At least half of two others is one:
    # without A: B or C, 5 pixels, shares 2 with A; without B: A or C, 3 pixels, shares 2 with B; without C: A or B,
    # 4 pixels, shares 1 with C.
    assert found.readers == 3
    assert found.model_readers == pytest.approx((1 + a_b + a_c) / 3)
    assert found.model_consensus == 1.0  # two or more: (0,0) and (0,1)
    assert found.readers_pairwise == pytest.approx((a_b + a_c + b_c) / 3)
    assert found.reader_rest == pytest.approx((4 / 7 + 4 / 7 + 2 / 6) / 3)
    assert found.model_rest == pytest.approx((4 / 7 + 4 / 5 + 4 / 6) / 3)


def test_readers_who_drew_nothing_take_no_part_unless_asked(readers, drawn):
    masks = np.concatenate([readers[:2], readers[2:] & False])
    model = drawn("##..", "....")
    found = agreement(masks, model)
    assert answers(found) == pytest.approx((2, (1 + 4 / 6) / 2, 1, 4 / 6, NAN, NAN), nan_ok=True)
    counted = agreement(masks, model, count_silent=True)
    # The silent reader has Dice 0 with A, B and the model. The majority of A and B is either of them: B's 4 pixels.
    # Without A it is B's 4 pixels, without B it is A's 2.
    expected = (3, (1 + 4 / 6 + 0) / 3, 1, (4 / 6 + 0 + 0) / 3, (4 / 6 + 4 / 6 + 0) / 3, (4 / 6 + 1 + 4 / 6) / 3)
    assert answers(counted) == pytest.approx(expected)


def test_two_silent_readers_have_no_dice_with_each_other(readers):
    masks = np.stack([readers[0], readers[0] & False, readers[0] & False])
    found = agreement(masks, count_silent=True)
    assert found.readers_pairwise == 0.0  # of two pairs; the third says nothing


def test_a_lone_reader(readers, drawn):
    found = agreement(readers[1:2], drawn("##..", "...."), min_readers=3)
    assert answers(found) == pytest.approx((1, 4 / 6, 4 / 6, NAN, NAN, NAN), nan_ok=True)


def test_a_disputed_case_has_an_empty_consensus(readers, drawn):
    masks = np.stack([readers[0], readers[0] & False])
    assert agreement(masks, drawn("##..", "....")).model_consensus == 0.0
    assert math.isnan(agreement(masks, drawn("....", "....")).model_consensus)


def test_without_a_model(readers):
    found = agreement(readers)
    assert [math.isnan(value) for value in answers(found)] == [False, True, True, False, False, True]


@pytest.mark.parametrize("count_silent", [False, True])
@pytest.mark.parametrize("marked", [False, True], ids=["both-empty", "reference-empty"])
def test_nobody_drew(readers, count_silent, marked):
    found = agreement(readers & False, readers[0] & marked, count_silent=count_silent)
    assert answers(found) == pytest.approx((0, NAN, NAN, NAN, NAN, NAN), nan_ok=True)


def test_an_empty_prediction(readers):
    found = agreement(readers, readers[0] & False)
    assert (found.model_readers, found.model_consensus, found.model_rest) == (0, 0, 0)


def test_bits_become_readers(readers):
    bits = np.zeros((2, 4), np.uint8)
    for number, mask in enumerate(readers):
        bits |= mask.astype(np.uint8) << number
    assert (reader_masks(bits, 3) == readers).all()
    assert reader_masks(bits, 4).shape == (4, 2, 4)


def test_consensus_is_that_of_the_dataset(phantom):
    bits = np.asarray(phantom.masks[:20])
    readers = reader_masks(bits, len(phantom.mask_bits))
    for needed in (1, 2, 9):
        assert (consensus_of(readers, needed) == phantom.consensus(np.arange(20), needed)).all()


@pytest.mark.parametrize(
    ("bits", "readers", "message"),
    [
        (np.zeros(3, np.int64), 2, "Received: 2 readers in int64"),
        (np.zeros(3, np.uint8), 9, "Received: 9 readers in uint8"),
        (np.zeros(3, np.uint8), 0, "Received: 0 readers"),
        (np.array([5], np.uint8), 2, "more than 2 readers. Received: 5"),
    ],
)
def test_bits_must_fit(bits, readers, message):
    with pytest.raises(UsageError, match=message):
        reader_masks(bits, readers)


def test_masks_must_fit(readers):
    with pytest.raises(UsageError, match=r"Received: uint8 \(3, 2, 4\). Split the bits"):
        agreement(readers.astype(np.uint8))
    with pytest.raises(UsageError, match=r"shape \(2, 4\). Received: bool \(2, 3\)"):
        agreement(readers, readers[0, :, :3])
    with pytest.raises(UsageError, match="min_readers=0"):
        agreement(readers, min_readers=0)
