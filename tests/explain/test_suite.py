"""Maps for the report of a suite: which cases, by which weights, and what is told where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.explain import suite
from lungzoo.explain.suite import ExplainedCase, explain_suite, open_suite
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.suites.report.formats.html.page import to_html
from lungzoo.suites.report.report import build_report

from ..suites.conftest import DATASET, Study, case_table
from ..suites.report.conftest import DRAWS


@pytest.fixture
def study(tracker: Any, phantom: PreparedDataset, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Two seeds of an arm, with results of nine slices of the phantom and a folder of weights each."""
    monkeypatch.setitem(DATASET, "fingerprint", phantom.fingerprint)
    study = Study(tracker)
    for seed in range(2):
        run = study.plan(seed=seed)
        study.finish(run, _scores(phantom))
        (tracker.folder / run.fingerprint / "weights").mkdir()
    return study


def _scores(phantom: PreparedDataset) -> pd.DataFrame:
    """Dice 0.1 to 0.9 for the nine slices with most lesion, the first in the dataset lowest."""
    rows = np.sort(np.argsort(-phantom.lesion_px(1))[:9])
    cases = phantom.cases.iloc[rows]
    table = case_table((np.arange(1, 10) / 10).tolist(), cases["patient"].astype(str).tolist())
    return table.assign(case=cases["case"].to_numpy(str), volume=cases["volume"].to_numpy(str), z=cases["z"].to_numpy())


def explained(
    study: Study, phantom: PreparedDataset, method: str, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, list[ExplainedCase], list[Path]]:
    from lungzoo.explain import suite_picture

    drawn: list[ExplainedCase] = []
    opened: list[Path] = []

    def draw(cases: list[ExplainedCase], title: str, real: Callable[..., bytes] = suite_picture.draw) -> bytes:
        drawn.extend(cases)
        return real(cases, title)

    def open_(folder: Path) -> Predictor:
        opened.append(folder)
        return predictor

    monkeypatch.setattr(suite_picture, "draw", draw)
    monkeypatch.setattr(suite, "open_predictor", open_)
    report = build_report(study.suite, study.tracker, DRAWS)
    return explain_suite(open_suite(report, method, phantom), Passes()), drawn, opened


def test_best_median_and_worst_cases_with_their_maps_reach_the_page(
    study: Study, phantom: PreparedDataset, bright: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    found, drawn, opened = explained(study, phantom, "flip-uncertainty", bright, monkeypatch)
    assert [path.parent.name[:9] for path in opened] == ["scratch-0"]
    scores = _scores(phantom)
    expected = [*scores["case"][::-1][:3], *scores["case"][::-1][3:6], *scores["case"][::-1][6:]]
    assert [case.title.split("\n")[0] for case in drawn] == expected
    assert [case.kind for case in drawn] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    for case in drawn:
        place = phantom.cases["case"].astype(str).tolist().index(case.title.split("\n")[0])
        assert np.array_equal(case.result.volume.image[case.row], phantom.images[place])
        assert np.array_equal(case.reference, phantom.consensus(np.array([place]), 2)[0] > 0)
        assert case.region.any()
    report = replace(build_report(study.suite, study.tracker, DRAWS), explained=(found,))
    page = to_html(report)
    assert "What does the network react to?" in page
    assert "uncertainty over 4 mirror images; unet_mobilenetv2 / scratch, seed 0; slices whole" in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "What does the network react to?" not in to_html(replace(report, explained=()))


def test_a_method_of_several_models_takes_all_seeds(
    study: Study, phantom: PreparedDataset, bright: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _, opened = explained(study, phantom, "uncertainty", bright, monkeypatch)
    assert [path.parent.name[:9] for path in opened] == ["scratch-0", "scratch-1"]
    assert found.caption.startswith("uncertainty over 2 models; unet_mobilenetv2 / scratch, seed 0, 1")


def test_what_cannot_be_explained_is_told(
    study: Study, phantom: PreparedDataset, tracker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = build_report(study.suite, tracker, DRAWS)
    with pytest.raises(UnknownNameError, match=r"Unknown explanation 'occlusoin'\. Did you mean 'occlusion'\?"):
        open_suite(report, "occlusoin", phantom)
    (tracker.folder / study.runs[0].fingerprint / "weights").rmdir()
    with pytest.raises(UsageError, match=r"weights of 'unet_mobilenetv2 / scratch', seed 0, are gone\. .*--fresh"):
        open_suite(report, "occlusion", phantom)
    monkeypatch.setitem(DATASET, "fingerprint", "f" * 64)
    with pytest.raises(UsageError, match=r"The suite was run on 'd' \(f{12}\)\. Received: .*--data"):
        open_suite(build_report(study.suite, tracker, DRAWS), "occlusion", phantom)
    empty = Study(tracker)
    empty.plan("imagenet-frozen")
    monkeypatch.setitem(DATASET, "fingerprint", phantom.fingerprint)
    with pytest.raises(UsageError, match=r"No run of the suite is finished"):
        open_suite(build_report(empty.suite, tracker, DRAWS), "occlusion", phantom)
