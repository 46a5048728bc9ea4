"""A report that has everything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lungzoo.evaluation.curves import Curves
from lungzoo.suites.report.report import build_report

from ...conftest import ListTracker
from ..conftest import Study, case_table

DRAWS = 200
READERS = ("agreement_model_readers", "agreement_readers_pairwise", "agreement_model_rest", "agreement_reader_rest")


def leave(study, run, probability: float = 0.8) -> None:
    """Leave a history and curves, as a run does whose lesion pixels have this probability."""
    folder = study.tracker.folder / run.fingerprint
    history = [{"loss": 1.0 - 0.1 * epoch, "val_dice": 0.1 * epoch} for epoch in range(4)]
    (folder / "history.json").write_text(json.dumps(history))
    reference = np.zeros((8, 8), bool)
    reference[2:5, 2:5] = True
    found = np.where(reference, probability, 0.1)
    counts = Curves.of(found, reference, found > 0.5, 1)
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
                "label_probability_0": [0.9, 0.3, 0.4, 0.6] * 10,
                "label_probability_1": [0.1, 0.7, 0.6, 0.4] * 10,
            } | dict.fromkeys(READERS, 0.8)
            run = study.plan(arm, seed)
            run.config["model"]["labels"] = ["benign", "malignant"]
            study.finish(run, case_table(dice, **columns), val_dice=0.5 + 0.1 * number)
            leave(study, run)
    return build_report(study.suite, study.tracker, DRAWS)


@pytest.fixture(scope="module")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report of `whole`, made once for tests that only read it."""
    return whole(Study(ListTracker(tmp_path_factory.mktemp("whole"))))
