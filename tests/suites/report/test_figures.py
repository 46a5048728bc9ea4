"""Every registered figure, on whole and on meagre suites."""

import json

import numpy as np
import pytest

from lungzoo.evaluation.curves import Curves
from lungzoo.suites.report.figures.contract import FIGURES, figures_in_order
from lungzoo.suites.report.figures.style import WIDTH_IN, save
from lungzoo.suites.report.report import build_report

from .conftest import case_table

DRAWS = 200
READERS = ("agreement_model_readers", "agreement_readers_pairwise", "agreement_model_rest", "agreement_reader_rest")


def leave(study, run) -> None:
    """Leave a history and curves, as a run does."""
    folder = study.tracker.folder / run.fingerprint
    history = [{"loss": 1.0 - 0.1 * epoch, "val_dice": 0.1 * epoch} for epoch in range(4)]
    (folder / "history.json").write_text(json.dumps(history))
    reference = np.zeros((8, 8), bool)
    reference[2:5, 2:5] = True
    probability = np.where(reference, 0.8, 0.1)
    counts = Curves.of(probability, reference, probability > 0.5, 1)
    (folder / "curves.json").write_text(json.dumps(counts.to_dict()))


def whole(study, arms=("scratch", "imagenet-frozen", "imagenet-finetune"), seeds=(0, 1)):
    """A suite with everything that a figure can show."""
    rng = np.random.default_rng(0)
    for number, arm in enumerate(arms):
        for seed in seeds:
            dice = np.clip(0.5 + 0.1 * number + rng.normal(0, 0.05, 40), 0, 1).tolist()
            columns = {
                "label": ["benign", "malignant"] * 20,
                "reference_mm2": np.linspace(10, 300, 40),
                "label_true": [0, 1] * 20,
                "label_predicted": [0, 1, 1, 0] * 10,
            } | dict.fromkeys(READERS, 0.8)
            run = study.plan(arm, seed)
            run.config["model"]["labels"] = ["benign", "malignant"]
            study.finish(run, case_table(dice, **columns), val_dice=0.5 + 0.1 * number)
            leave(study, run)
    return build_report(study.suite, study.tracker, DRAWS)


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_whole_suite_has_every_figure(study, name):
    figure = FIGURES.get(name).draw(whole(study))
    assert figure is not None
    assert figure.get_figwidth() == WIDTH_IN
    assert figure.get_figheight() < 11
    assert b"<svg" in save(figure, "svg")


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_single_arm_of_one_seed_and_case_breaks_nothing(study, name):
    study.finish(study.plan("scratch"), case_table([0.5]))
    figure = FIGURES.get(name).draw(build_report(study.suite, study.tracker, DRAWS))
    assert figure is None or save(figure, "png")


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_suite_without_results_has_no_figure(study, name):
    study.plan("scratch")
    study.finish(study.plan("imagenet-frozen"), None, status="failed", reason="broke", val_dice=float("nan"))
    assert FIGURES.get(name).draw(build_report(study.suite, study.tracker, DRAWS)) is None


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_test_set_without_lesions_breaks_nothing(study, name):
    for arm in ("scratch", "imagenet-frozen"):
        study.finish(study.plan(arm), case_table([float("nan")] * 6, group="empty", reference_px=0))
    figure = FIGURES.get(name).draw(build_report(study.suite, study.tracker, DRAWS))
    assert figure is None or save(figure, "png")


@pytest.mark.parametrize("name", FIGURES.names())
def test_more_arms_than_colours_say_how_many_are_shown(study, name):
    rng = np.random.default_rng(1)
    for number in range(11):
        run = study.plan("scratch", seed=0)
        run.config["label"] = f"arm {number}"
        run = study.runs[-1] = type(run)(f"{number:064d}", f"m / arm {number}", 0, run.config)
        study.finish(run, case_table(rng.random(12).tolist()), val_dice=number / 20)
        leave(study, run)
    figure = FIGURES.get(name).draw(build_report(study.suite, study.tracker, DRAWS))
    if figure is not None and name in ("learning", "calibration", "froc", "by_stratum"):
        assert figure.get_supxlabel() == "The first 8 of 11 arms, in the order of the table."


def test_the_forest_shows_the_means_of_the_table(study):
    report = whole(study)
    axes = FIGURES.get("forest").draw(report).axes[0]
    shown = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert shown == [row.metrics["dice"]["mean"] for row in report.table.rows]
    assert axes.get_yticklabels()[0].get_text() == "imagenet-finetune ★"


def test_differences_are_those_of_the_comparison_and_stars_mark_what_holds(study):
    report = whole(study)
    texts = {text.get_text() for text in FIGURES.get("differences").draw(report).axes[0].texts}
    found = report.analysis.comparison
    expected = f"{found.difference[0]:+.3f}" + ("∗" if found.different[found.first[0], found.second[0]] else "")
    assert expected in texts


def test_learning_curves_are_means_over_seeds(study):
    report = whole(study)
    line = FIGURES.get("learning").draw(report).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [0.0, 0.1, 0.2, 0.3])
    assert line.get_xdata().tolist() == [1, 2, 3, 4]


def test_every_figure_has_a_place_a_title_and_a_caption():
    figures = figures_in_order()
    assert [figure.order for figure in figures] == sorted({figure.order for figure in figures})
    assert all(figure.title and figure.caption.endswith(".") for figure in figures)


def test_equal_figures_give_equal_files(study):
    report = whole(study)
    for kind in ("svg", "pdf", "png"):
        assert save(FIGURES.get("forest").draw(report), kind) == save(FIGURES.get("forest").draw(report), kind)
