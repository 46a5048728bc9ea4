"""Descriptions of runs and suites."""

from lungzoo.config import ExperimentConfig
from lungzoo.tracking.pages import suite_description
from lungzoo.tracking.record import PlannedRun, SuitePlan
from lungzoo.tracking.summary import ArmSummary, SuiteSummary


def summary(arms: int = 2) -> SuiteSummary:
    config = ExperimentConfig(model={"name": "cnn_scratch"}).model_dump(mode="json")
    names = [f"model_{number} / scratch" for number in range(arms)]
    plan = SuitePlan("s", "A suite", "", "dice", {}, tuple(PlannedRun("f", name, 0, config) for name in names))
    rows = tuple(ArmSummary(name, ("0.700", "0.690 [0.600, 0.800]", "a"), chosen=name == names[0]) for name in names)
    headings = ("Arm", "Val Dice", "Test Dice [95% CI]", "Group")
    return SuiteSummary(plan, "Chosen: model_0.", "| the | whole | table |", headings, rows, ("A remark.",))


def test_the_first_lines_say_what_came_out_and_where_to_go():
    lines = suite_description(summary(), "7", "abc", "").splitlines()
    assert lines[0] == "Chosen: model_0."
    links = lines[2].split(" · ")
    assert links[0] == "[Arms with intervals](#/experiments/7/runs?viewStateShareKey=lungzoo-arms)"
    assert links[1].startswith("[Arms](#/experiments/7/runs?searchFilter=tags.mlflow.parentRunId+=+%27abc%27")
    assert [link.partition("]")[0].strip(" [") for link in links[1:]] == [
        "Arms", "as charts", "Runs", "scratch", "failed"
    ]  # fmt: skip
    assert lines[4] == "| Arm | Val Dice | Test Dice [95% CI] | Group |"
    assert lines[6].startswith("| [model_0 / scratch](#/experiments/7/runs?")
    assert lines[6].endswith(" ★ | 0.700 | 0.690 [0.600, 0.800] | a |")
    assert lines[-2:] == ["- A remark.", "- The whole table is the artifact `table.md`."]


def test_the_registered_model_is_a_link():
    text = suite_description(summary(), "7", "abc", "They are version 2 of the model: models:/s@champion")
    assert "They are version 2 of the model: [models:/s@champion](#/models/s)" in text


def test_a_description_stays_in_mlflows_limit():
    text = suite_description(summary(arms=200), "7", "abc", "")
    assert 7000 < len(text) <= 8000
    assert "model_0 / scratch" in text
    assert "model_199 / scratch" not in text
    assert text.endswith("- The whole table is the artifact `table.md`.\n")
