"""Six-pixel masks with hand-derived answers."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lungzoo.config import ScoreConfig
from lungzoo.evaluation.overlay import pick_cases, save_overlays
from lungzoo.evaluation.predict import Predictions, predict
from lungzoo.evaluation.score import count_groups, score_cases, summarise

CASES = pd.DataFrame(
    {"case": ["a/0", "a/1", "b/0", "b/1", "c/0"], "patient": list("aabbc"), "label": ["LR2", "", "LR3", "", ""],
     "volume": list("aabbc"), "z": [0, 1, 0, 1, 0],
     "spacing_z_mm": 2.0, "spacing_y_mm": [0.5] * 4 + [np.nan], "spacing_x_mm": 0.5}
)  # fmt: skip


def masks(*areas: int) -> np.ndarray:
    """One 4×4 mask per area, filled from the top left."""
    return np.array([(np.arange(16) < area).reshape(4, 4) for area in areas])


@pytest.fixture
def scores() -> pd.DataFrame:
    predictions = Predictions(np.zeros((5, 4, 4), np.uint8), masks(8, 0, 4, 0, 2), masks(4, 0, 4, 3, 0))
    return score_cases(predictions, CASES, ScoreConfig(min_lesion_px=3, bootstrap_draws=200))


def test_groups(scores):
    assert scores["group"].tolist() == ["lesion", "empty", "lesion", "empty", "small"]
    assert count_groups(scores) == {"patients": 3, "lesion": 2, "empty": 2, "small": 1}


def test_per_case_figures(scores):
    assert scores["dice"].tolist() == pytest.approx([2 * 4 / 12, math.nan, 1.0, 0.0, 0.0], nan_ok=True)
    assert scores["recall"].tolist()[:1] == [0.5]
    assert scores["reference_px"].tolist() == [8, 0, 4, 0, 2]


def test_dice_is_over_lesion_cases_and_false_positives_over_empty_ones(scores):
    summary = summarise(scores, ScoreConfig(bootstrap_draws=200))
    assert summary["dice"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    assert (summary["dice"]["cases"], summary["dice"]["patients"]) == (2, 2)
    assert summary["false_positive_rate"]["mean"] == pytest.approx(0.5)
    assert summary["false_positive_rate"]["cases"] == 2


def test_a_test_set_without_lesions_has_no_dice(scores):
    summary = summarise(scores[scores["group"] == "empty"], ScoreConfig(bootstrap_draws=200))
    assert math.isnan(summary["dice"]["mean"])
    assert summary["dice"]["cases"] == 0


def test_predict_applies_the_threshold_to_the_probability():
    class Model:
        def predict_on_batch(self, image):
            return np.log(image / (1 - image))  # logits of the image itself

    class Batches:
        def as_numpy_iterator(self):
            image = np.array([0.2, 0.3, 0.31, 0.9], "float32").reshape(1, 2, 2, 1)
            yield image, np.ones_like(image), np.full((1, 1), -1)

    (found,) = predict(Model(), Batches(), threshold=0.3001)
    np.testing.assert_allclose(found.probabilities.ravel(), [0.2, 0.3, 0.31, 0.9], rtol=1e-5)
    assert found.masks.ravel().tolist() == [False, False, True, True]
    assert found.references.all()
    assert found.images.ravel().tolist() == [51, 76, 79, 230]


def test_best_median_and_worst_do_not_repeat():
    table = pd.DataFrame(
        {"group": ["lesion"] * 9 + ["empty"], "dice": [*np.linspace(0.1, 0.9, 9), np.nan], "case": list("abcdefghij")}
    )
    picked = pick_cases(table, each=2)
    assert picked == {"best": [8, 7], "median": [5, 4], "worst": [1, 0]}
    assert pick_cases(table[:2])["best"] == []


def test_overlays_are_a_picture(tmp_path):
    predictions = Predictions(np.zeros((3, 8, 8), np.uint8), np.ones((3, 8, 8), bool), np.zeros((3, 8, 8), bool))
    table = pd.DataFrame({"group": ["lesion"] * 3, "dice": [0.1, 0.2, 0.3], "case": list("abc")})
    assert save_overlays(predictions, table, "title", tmp_path / "o.png")
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
    assert not save_overlays(predictions, table[:2], "title", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_long_title_stays_within_the_picture(tmp_path, monkeypatch):
    widths: list[float] = []

    def measure(figure, path, **options):
        figure.draw_without_rendering()
        title = figure.get_suptitle() and figure._suptitle.get_window_extent()
        widths.append(title.width / figure.bbox.width)

    monkeypatch.setattr(Figure, "savefig", measure)
    predictions = Predictions(np.zeros((3, 8, 8), np.uint8), np.ones((3, 8, 8), bool), np.zeros((3, 8, 8), bool))
    table = pd.DataFrame({"group": ["lesion"] * 3, "dice": [0.1, 0.2, 0.3], "case": list("abc")})
    for title in ("arm", "deeplabv3plus_efficientnetv2b0 encoder_depth=4 / imagenet-discriminative, seed 12"):
        assert save_overlays(predictions, table, title, tmp_path / "o.png")
    assert widths[0] < widths[1] < 1
