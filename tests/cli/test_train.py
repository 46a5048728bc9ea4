"""`lungzoo train` before anything is trained: names of weights, and sizes that come with them."""

from __future__ import annotations

import pytest

from lungzoo.cli.train import _check_name, _score
from lungzoo.errors import UsageError

SHIPPED = "unet_mobilenetv2_035-lidc-v1"


def test_weights_in_the_place_of_a_model() -> None:
    with pytest.raises(
        UsageError,
        match=f"'{SHIPPED}' are weights, and a model is wanted. Start from them with: lungzoo train "
        f"unet_mobilenetv2 --transfer lungzoo:{SHIPPED}-finetune",
    ):
        _check_name(SHIPPED)
    _check_name("unet_mobilenetv2")
    _check_name("unet_resnet5O")  # told later, with the nearest name


@pytest.mark.parametrize(
    ("low", "high", "interval"),
    [(0.5, 0.75, "[0.500, 0.750]"), (float("nan"),) * 2 + ("(too few for an",)],
)
def test_the_last_line_has_an_interval_or_says_why_not(low: float, high: float, interval: str) -> None:
    said = _score({"mean": 0.616, "low": low, "high": high, "cases": 13, "patients": 2})
    assert said.startswith(f"Dice 0.616 {interval}")
    assert said.endswith(" on 13 slices with a lesion of 2 patient(s)")
