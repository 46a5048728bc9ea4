"""What came of a scan, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.inference.lesions import Lesion
from lungzoo.inference.postprocess import PostprocessConfig
from lungzoo.inference.result import Result
from lungzoo.inference.volume import Volume

LABELS = ("benign", "malignant")


def result(*lesions: dict[str, Any]) -> Result:
    image = np.zeros((2, 4, 4), np.int16)
    volume = Volume(image, "hu", np.arange(2), image.shape)
    found = [
        Lesion(number, 9, each["volume_mm3"], 5.0, 0, 0, 1, (0.0, 0.0, 0.0), None, 0.9, each.get("labels"))
        for number, each in enumerate(lesions, 1)
    ]
    return Result(Path("scan"), volume, image.astype(np.uint8), found, LABELS, (), 0.5, PostprocessConfig())


@pytest.mark.parametrize(
    ("lesions", "words"),
    [
        ([], "no lesion"),
        ([{"volume_mm3": 1234.0}], "1 lesion(s), the largest 1.23 cm³"),
        ([{"volume_mm3": float("nan")}], "1 lesion(s), the largest 9 pixels"),
        (
            [{"volume_mm3": 1234.0, "labels": (0.25, 0.75)}, {"volume_mm3": 1.0, "labels": (1.0, 0.0)}],
            "2 lesion(s), the largest 1.23 cm³, malignant (75%)",
        ),
    ],
)
def test_in_words(lesions: list[dict[str, Any]], words: str) -> None:
    assert result(*lesions).in_words() == words
