"""Every registered figure, on whole and on meagre suites."""

import json

import numpy as np
import pytest

from lungzoo.suites.report.figures import drawing as drawing_room
from lungzoo.suites.report.figures.contract import FIGURES, figures_in_order
from lungzoo.suites.report.figures.ranks import stretches
from lungzoo.suites.report.figures.style import WIDTH_IN, save
from lungzoo.suites.report.formats.html.page import to_html
from lungzoo.suites.report.report import build_report

from ..conftest import case_table
from .conftest import DRAWS, leave


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_whole_suite_has_every_figure(whole_report, name):
    figure = FIGURES.get(name).draw(whole_report)
    assert figure is not None
    assert figure.get_figwidth() == WIDTH_IN
    assert figure.get_figheight() < 11
    assert b"<svg" in save(figure, "svg")


def drawn(report) -> dict:
    return {figure.name: picture for figure in figures_in_order() if (picture := figure.draw(report)) is not None}


def test_a_single_arm_of_one_seed_and_case_breaks_nothing(study):
    study.finish(study.plan("scratch"), case_table([0.5]))
    figures = drawn(build_report(study.suite, study.tracker, DRAWS))
    assert set(figures) == {"forest"}
    assert save(figures["forest"], "png")


def test_a_suite_without_results_has_no_figure(study):
    study.plan("scratch")
    study.finish(study.plan("imagenet-frozen"), None, status="failed", reason="broke", val_dice=float("nan"))
    assert drawn(build_report(study.suite, study.tracker, DRAWS)) == {}


def test_a_test_set_without_lesions_breaks_nothing(study):
    for arm in ("scratch", "imagenet-frozen"):
        study.finish(study.plan(arm), case_table([float("nan")] * 6, group="empty", reference_px=0))
    assert drawn(build_report(study.suite, study.tracker, DRAWS)) == {}


def test_more_arms_than_colours_say_how_many_are_shown(study):
    rng = np.random.default_rng(1)
    for number in range(11):
        run = study.plan("scratch", seed=0)
        run.config["label"] = f"arm {number}"
        run = study.runs[-1] = type(run)(f"{number:064d}", f"m / arm {number}", 0, run.config)
        study.finish(run, case_table(rng.random(12).tolist()), val_dice=number / 20)
        leave(study, run)
    figures = drawn(build_report(study.suite, study.tracker, DRAWS))
    for name in ("cost", "learning", "calibration", "froc"):
        figure = figures[name]
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
        titles = {legend.get_title().get_text() for legend in legends if legend}
        assert titles == {"The first 8 of 11 arms, in the order of the table."}
    assert [len(axes.collections[-1].get_offsets()) for axes in figures["cost"].axes] == [8, 8, 8]


def test_stacks_of_slices_are_not_called_volumes(study):
    run = study.plan()
    study.finish(
        run, case_table([0.5, 0.6]), curves={"froc_score_per_volume": 0.25, "sensitivity_at_1_fp_per_volume": 0.5}
    )
    leave(study, run)
    path = study.tracker.folder / run.fingerprint / "curves.json"
    counts = json.loads(path.read_text())
    path.write_text(json.dumps({**counts, "volumes": counts["slices"]}))
    report = build_report(study.suite, study.tracker, DRAWS)
    axes = FIGURES.get("froc").draw(report).axes
    assert [each.get_xlabel() for each in axes] == [
        "False positives per slice",
        "False positives per stack of slices",
    ]
    page = to_html(report)
    assert "FROC score, stacks of slices" in page
    assert "Sensitivity at 1 FP per stack of slices" in page
    assert "which may be only part of the volume" in page


def test_numbers_beside_pooled_curves_are_means_over_runs_as_in_the_table(study):
    for seed, (probability, error, score) in enumerate([(0.9, 0.02, 0.4), (0.6, 0.08, 0.8)]):
        run = study.plan("scratch", seed)
        figures = {"expected_calibration_error": error, "froc_score_per_slice": score}
        study.finish(run, case_table([0.5, 0.6]), curves=figures)
        leave(study, run, probability)
    report = build_report(study.suite, study.tracker, DRAWS)
    pooled = report.evidence["unet_mobilenetv2 / scratch"].curves
    assert pooled.calibration.expected_calibration_error != pytest.approx(0.05)
    calibration = FIGURES.get("calibration").draw(report).legends[0].get_texts()
    froc = FIGURES.get("froc").draw(report).axes[0].get_legend().get_texts()
    assert [text.get_text().rpartition(", ")[2] for text in (*calibration, *froc)] == ["ECE 0.0500", "0.600"]
    page = to_html(report)
    assert ">0.0500</td>" in page
    assert ">0.6000</td>" in page


def test_the_forest_shows_the_means_of_the_table(whole_report):
    report = whole_report
    axes = FIGURES.get("forest").draw(report).axes[0]
    shown = axes.collections[1].get_offsets()[:, 0].tolist()
    assert shown == [row.metrics["dice"]["mean"] for row in report.table.rows]
    assert axes.get_yticklabels()[0].get_text() == "imagenet-finetune ★"


def test_differences_are_those_of_the_comparison_and_stars_mark_what_holds(whole_report):
    report = whole_report
    texts = {text.get_text() for text in FIGURES.get("differences").draw(report).axes[0].texts}
    found = report.analysis.comparison
    expected = f"{found.difference[0]:+.3f}" + ("∗" if found.different[found.first[0], found.second[0]] else "")
    assert expected in texts


def test_stretches_of_a_bar_leave_out_arms_that_the_test_separates():
    assert stretches((2, 0, 1), order=(2, 0, 1, 3)) == [(2, 1)]
    assert stretches((2, 1, 3), order=(2, 0, 1, 3)) == [(2, 2), (1, 3)]
    assert stretches((0, 3), order=(2, 0, 1, 3)) == [(0, 0), (3, 3)]


def test_learning_curves_are_means_over_seeds(whole_report):
    report = whole_report
    line = FIGURES.get("learning").draw(report).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [0.0, 0.1, 0.2, 0.3])
    assert line.get_xdata().tolist() == [1, 2, 3, 4]


def test_every_figure_has_a_place_a_title_and_a_caption():
    figures = figures_in_order()
    assert [figure.order for figure in figures] == sorted({figure.order for figure in figures})
    assert all(figure.title and figure.caption.endswith(".") for figure in figures)


def test_equal_figures_give_equal_files(whole_report):
    draw = FIGURES.get("forest").draw
    for kind in ("svg", "pdf", "png"):
        assert save(draw(whole_report), kind) == save(draw(whole_report), kind)


def test_several_processes_draw_the_same_figures(whole_report, monkeypatch):
    """Those of a large suite are drawn by processes that inherit the report."""
    alone = _all_drawn(whole_report)
    monkeypatch.setattr(drawing_room, "_MANY", 0)
    monkeypatch.setattr(drawing_room.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(drawing_room.sys, "platform", "linux")
    together = _all_drawn(whole_report)
    assert [figure.name for figure, _ in together] == [figure.name for figure, _ in alone]
    assert together == alone
    assert drawing_room._inherited is None


def _all_drawn(report):
    with drawing_room.drawing(report, ("svg",)) as drawn:
        return drawn()
