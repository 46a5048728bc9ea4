"""What every registered metric promises."""

import math
import subprocess
import sys

import numpy as np
import pytest

from lungzoo.errors import LungzooError, UnknownNameError
from lungzoo.metrics.contract import METRICS, METRICS_VERSION, CaseMetric, MaskPair, case_metric, measure

NAN = math.nan
SPACING_MM = (2.0, 0.5)
DIAGONAL_MM = math.sqrt(12**2 + 3**2)

# (empty, empty), (empty, not), (not, empty), for 6 × 6 pixels of 2 × 0.5 mm, LESION being what is not empty.
EMPTY_ANSWERS = {
    "dice": (NAN, 0, 0),
    "iou": (NAN, 0, 0),
    "precision": (NAN, 0, 0),
    "recall": (NAN, NAN, 0),
    "specificity": (1, 28 / 36, 1),
    "area_error": (NAN, NAN, -100),
    "absolute_area_error_mm2": (0, 8, 8),
    "absolute_volume_error_mm3": (NAN, NAN, NAN),
    "hd_mm": (NAN, DIAGONAL_MM, DIAGONAL_MM),
    "hd95_mm": (NAN, DIAGONAL_MM, DIAGONAL_MM),
    "assd_mm": (NAN, DIAGONAL_MM, DIAGONAL_MM),
    "nsd": (NAN, 0, 0),
    "lesion_sensitivity": (NAN, NAN, 0),
    "false_positive_lesions": (0, 2, 0),
    "false_positive_rate": (0, 1, 0),
}
POWER_OF_UNIT = {"mm": 1, "mm²": 2, "mm³": 3}


@pytest.fixture
def lesion(drawn):
    return drawn("###...", "###...", "......", "......", "....##", "......")


@pytest.fixture(params=METRICS.names())
def metric(request) -> CaseMetric:
    return METRICS.get(request.param)


def masks_for(metric: CaseMetric, lesion: np.ndarray, drawn) -> tuple[np.ndarray, np.ndarray]:
    other = drawn(".###..", ".###..", "......", "......", "......", "......")
    if metric.dimensions == (3,):
        return np.stack([lesion, lesion, lesion & False]), np.stack([other & False, other, other & False])
    return lesion, other


def test_is_described(metric):
    assert metric.title
    assert "\n" not in metric.description
    assert metric.description.endswith(".")
    assert metric.better in ("higher", "lower", "zero")
    assert metric.over in ("lesion", "empty", "all")
    assert metric.unit in ("", "%", *POWER_OF_UNIT)
    assert metric.name == metric.name.lower()
    assert metric.unit not in POWER_OF_UNIT or metric.name.endswith(f"_mm{metric.unit[2:].translate(DIGITS)}")
    assert 0 <= metric.digits <= 4


DIGITS = str.maketrans("²³", "23")


def test_the_module_tells_its_answers_for_empty_masks(metric):
    assert f"\n| {metric.name} " in sys.modules[metric.function.__module__].__doc__


@pytest.mark.parametrize("which", [0, 1, 2], ids=["both-empty", "reference-empty", "prediction-empty"])
def test_answers_for_empty_masks(metric, lesion, which):
    empty = np.zeros_like(lesion)
    reference, prediction = [(empty, empty), (empty, lesion), (lesion, empty)][which]
    answer = metric(MaskPair(reference, prediction, SPACING_MM))
    assert answer == pytest.approx(EMPTY_ANSWERS[metric.name][which], nan_ok=True)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["both-empty", "reference-empty", "prediction-empty"])
def test_answers_for_empty_volumes(metric, lesion, which):
    empty = np.zeros((2, 6, 6), bool)
    full = np.stack([lesion, np.zeros_like(lesion)])
    reference, prediction = [(empty, empty), (empty, full), (full, empty)][which]
    expected = EMPTY_ANSWERS[metric.name][which]
    if metric.name == "specificity" and which == 1:
        expected = 64 / 72
    if metric.name == "absolute_area_error_mm2":
        expected = NAN
    if metric.name == "absolute_volume_error_mm3":
        expected = (0, 8 * 3, 8 * 3)[which]
    if metric.unit == "mm" and which:
        expected = math.sqrt(6**2 + 12**2 + 3**2)
    assert metric(MaskPair(reference, prediction, (3.0, *SPACING_MM))) == pytest.approx(expected, nan_ok=True)


def test_identity_is_best(metric, lesion, drawn):
    reference, other = masks_for(metric, lesion, drawn)
    if metric.over == "empty":
        reference = np.zeros_like(reference)
    spacing_mm = SPACING_MM if reference.ndim == 2 else (3.0, *SPACING_MM)
    best = metric(MaskPair(reference, reference, spacing_mm))
    worse = metric(MaskPair(reference, other, spacing_mm))
    assert best == (1 if metric.better == "higher" else 0)
    if metric.name == "false_positive_lesions":
        assert worse == best  # what `other` predicts hits a lesion
    elif metric.name == "nsd":
        assert worse < best
    else:
        assert {"higher": best - worse, "lower": worse - best, "zero": abs(worse)}[metric.better] > 0


def test_millimetres_follow_the_spacing(metric, lesion, drawn):
    reference, other = masks_for(metric, lesion, drawn)
    spacing_mm = np.array(SPACING_MM if reference.ndim == 2 else (3.0, *SPACING_MM))
    once = metric(MaskPair(reference, other, tuple(spacing_mm)))
    tenfold = metric(MaskPair(reference, other, tuple(10 * spacing_mm)))
    if metric.name != "nsd":  # its tolerance stays what it is
        assert tenfold == pytest.approx(once * 10 ** POWER_OF_UNIT.get(metric.unit, 0))


def test_millimetres_are_not_guessed(metric, lesion, drawn):
    reference, other = masks_for(metric, lesion, drawn)
    for prediction in (other, np.zeros_like(other)):
        answer = metric(MaskPair(reference, prediction))
        assert math.isnan(answer) == (metric.unit in POWER_OF_UNIT or metric.name == "nsd")


def test_a_slice_and_a_volume_of_that_slice_agree(metric, lesion, drawn):
    if metric.dimensions != (2, 3):
        pytest.skip("has a meaning for one of them only")
    reference, other = masks_for(metric, lesion, drawn)
    volume = MaskPair(reference[None], other[None], (100.0, *SPACING_MM))
    if metric.unit == "mm" or metric.name == "nsd":
        # In a volume of one slice every pixel borders on the outside; none of these masks has another pixel.
        assert MaskPair(reference, other, SPACING_MM).surface_distances is not None
    assert metric(volume) == pytest.approx(metric(MaskPair(reference, other, SPACING_MM)), nan_ok=True)


def test_all_are_measured_by_name(lesion):
    pair = MaskPair(lesion, lesion, SPACING_MM)
    assert list(measure(pair)) == METRICS.names()
    assert measure(pair, ["hd_mm", "dice"]) == {"hd_mm": 0.0, "dice": 1.0}
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'dicee'. Did you mean 'dice'\? See: lungzoo list met"):
        measure(pair, ["dicee"])


def test_an_undescribed_metric_is_refused():
    with pytest.raises(LungzooError, match="metric 'silent' has no docstring"):
        case_metric("silent", title="Silent", better="higher", over="all")(lambda pair: 0.0)


def test_listing_loads_nothing_heavy():
    code = (
        "import sys; from lungzoo.metrics.contract import METRICS; METRICS.names();"
        "print([name for name in ('scipy', 'pandas', 'keras', 'tensorflow') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_version():
    assert METRICS_VERSION == 1
