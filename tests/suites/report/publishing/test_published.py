"""Publishing: what is refused, what is written, and that figures which were changed are caught."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app, bench_report
from lungzoo.errors import UsageError
from lungzoo.suites.report.publishing.page import page, section
from lungzoo.suites.report.publishing.publish import publish
from lungzoo.suites.report.publishing.published import faults, published_folders, read_meta
from lungzoo.suites.report.report import build_report

SUITE = """name = "s"
title = "A suite"
seeds = [0, 1, 2]

[[arms]]
models = ["unet_mobilenetv2"]
transfers = ["scratch", "imagenet-frozen", "imagenet-finetune"]
"""


@pytest.fixture
def suite_file(tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "s.toml").write_text(SUITE)
    return tmp_path / "suites" / "s.toml"


def report_of(study):
    return build_report(study.suite, study.tracker, draws=200)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def published(kept, request, suite_file, tmp_path):
    """The large study as it was published once, in a folder of the test's own."""
    if not (kept / "s").exists():
        publish(report_of(request.getfixturevalue("large_study")), suite_file, kept)
    return shutil.copytree(kept / "s", tmp_path / "results" / "s")


@pytest.fixture
def check(published, suite_file):
    return lambda: faults(published, suite_file.parent)


def change(path, pattern, by):
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, by, text, count=1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def test_a_published_suite_is_three_files_that_agree(published, check):
    assert sorted(path.name for path in published.iterdir()) == ["README.md", "meta.json", "results.csv"]
    assert published_folders(published.parent) == [published]
    assert check() == []
    assert page(read_meta(published)) == (published / "README.md").read_text(encoding="utf-8")


def test_the_figures_of_the_page_are_those_of_the_csv(published):
    """Read off the page as a person would, and worked out from the CSV with nothing of ours."""
    with (published / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == "lesion"]
    lines = (published / "README.md").read_text(encoding="utf-8").splitlines()
    headings, *shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    for line in shown[1:4]:
        seen = dict(zip(headings, line, strict=True))
        own = [row for row in rows if row["arm"] == seen["Arm"].removesuffix(" ★")]
        assert len(own) == 3
        assert seen["Test Dice [95% CI]"][:5] == f"{sum(float(row['dice']) for row in own) / 3:.3f}"
        assert seen["Val Dice"] == f"{sum(float(row['val_dice']) for row in own) / 3:.3f}"
        assert seen["Params"] == f"{float(own[0]['params']) / 1e6:.2f} M"


def test_equal_records_give_equal_bytes(large_study, suite_file, published):
    before = {path.name: path.read_bytes() for path in published.iterdir()}
    publish(report_of(large_study), suite_file, published.parent)
    assert {path.name: path.read_bytes() for path in published.iterdir()} == before


def test_meta_says_what_the_figures_were_made_with(published):
    meta = read_meta(published)
    assert (meta["suite"], meta["description"], meta["primary_metric"]) == ("s", "", "dice")
    assert meta["dataset"]["fingerprint"] == "d" * 64
    assert meta["statistics"]["draws"] == 200
    assert len(meta["comparison"]["pairs"]) == 3
    assert {row["letters"] for row in meta["rows"]} == {"a", "b"}
    assert len(meta["suite_sha256"]) == 64


def test_the_page_shows_differences_and_provenance(published):
    text = (published / "README.md").read_text(encoding="utf-8")
    assert "| unet_mobilenetv2 / imagenet-finetune | unet_mobilenetv2 / scratch | 0.198 [" in text
    assert "| < 0.001 | < 0.001 | yes |" in text
    assert f"- fingerprint of the dataset: {'d' * 64}" in text
    assert "- intervals: 200 bootstrap draws" in text


def test_a_short_table_links_to_the_whole_one(published):
    text = section([read_meta(published)], "benchmarks/results")
    assert text.startswith(
        "**[A suite](benchmarks/results/s/README.md)** D, 120 test cases of 40 patients, 3 seed(s). "
        "All arms: `unet_mobilenetv2`."
    )
    assert "| Arm | Test Dice [95% CI] | Group | Params | Predict |" in text
    assert re.search(r"\| imagenet-frozen ★ \| 0\.727 \[0\.\d{3}, 0\.\d{3}\] \| a \| 2\.50 M \| 7\.2 ms \|", text)
    assert section([], "benchmarks/results") == ""


def test_a_suite_that_is_not_complete_is_refused(large_study, suite_file, tmp_path):
    large_study.plan("imagenet-gradual")
    run = large_study.runs[0]
    large_study.tracker.records[run.fingerprint] = replace(
        large_study.tracker.records[run.fingerprint], status="failed", reason="out of memory"
    )
    with pytest.raises(UsageError) as caught:
        publish(report_of(large_study), suite_file, tmp_path / "results")
    assert str(caught.value) == (
        "Suite 's' is not complete; nothing was published. 2 of 10 run(s) are missing:\n"
        "  unet_mobilenetv2 / scratch, seed 0: failed: out of memory\n"
        "  unet_mobilenetv2 / imagenet-gradual, seed 0: pending\n"
        "Finish it with `lungzoo bench run`, and publish it then."
    )
    assert not (tmp_path / "results").exists()


def test_folds_that_are_missing_are_named(study, cases, suite_file, tmp_path):
    study.finish(study.plan(fold=0), cases([0.5] * 3))
    study.plan(fold=1)
    with pytest.raises(UsageError, match="seed 0, fold 1: pending"):
        publish(report_of(study), suite_file, tmp_path)


def test_a_suite_file_that_was_edited_after_its_runs_is_refused(large_study, suite_file, tmp_path):
    suite_file.write_text(SUITE + "train = { epochs = 99 }\n")
    with pytest.raises(UsageError, match="asks for other runs than the newest recorded ones of 's': 9 of its 9 are"):
        publish(report_of(large_study), suite_file, tmp_path)


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ('title = "A suite"\nprimary_metric = "nsd"', "primary_metric"),
        ('title = "Another"\ndescription = "Three arms."', "title and another description"),
    ],
)
def test_a_suite_file_that_says_something_else_is_refused(large_study, suite_file, tmp_path, line, changed):
    suite_file.write_text(SUITE.replace('title = "A suite"', line))
    with pytest.raises(UsageError) as caught:
        publish(report_of(large_study), suite_file, tmp_path / "results")
    assert str(caught.value) == (
        f"{suite_file} has another {changed} than the newest recorded run of 's'. Nothing was published. Call "
        "`lungzoo bench run` once more: what is finished is not trained again. Or give the file that was run."
    )
    assert not (tmp_path / "results").exists()


def test_metrics_without_a_value_and_awkward_names(study, cases, suite_file, tmp_path):
    suite_file.write_text(SUITE.replace("[0, 1, 2]", "[0]") + 'label = "50% | a_b & [c]"\n')
    for transfer in ("scratch", "imagenet-frozen", "imagenet-finetune"):
        run = study.plan(transfer)
        label = {**run.config, "label": "50% | a_b & [c]"}
        study.runs[-1] = replace(run, arm=f"{run.arm} / {label['label']}", config=label)
        study.finish(study.runs[-1], cases([0.5, float("nan"), 0.7], hd95_mm=float("nan")))
    made = publish(report_of(study), suite_file, tmp_path / "results")
    assert faults(made, suite_file.parent) == []
    text = section([read_meta(made)], "x")
    lines = [line for line in (made / "README.md").read_text().splitlines() + text.splitlines() if line[:1] == "|"]
    assert any("50% \\| a_b & [c] ★" in line for line in lines)
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert len(set(cells)) == 3  # of the table, the differences and the short table


@pytest.mark.parametrize(
    ("file", "pattern", "by", "fault"),
    [
        ("results.csv", r"0\.7271376", "0.7281376", "mm2 of 'unet_mobilenetv2 / imagenet-frozen' is 0.726871 by res"),
        ("results.csv", r"(finished.*?),0\.8,", r"\1,0.81,", r"val_dice of '.*' is 0\.81"),
        ("results.csv", r"2500000", "2600000", "params of '.*' is 2.53333e"),
        ("results.csv", r"lesion,120,40", "lesion,120,41", "results.csv is not what was published"),
        ("results.csv", r",dice,", ",dise,", "dice of '.*' is nan by"),
        ("results.csv", r"2500000", "2500001", "results.csv is not what was published"),
        ("results.csv", r"val_dice", "val", "results.csv cannot be read: ValueError"),
        ("results.csv", r"(?s)\n.*", "\n", "only one of results.csv and meta.json has the arm"),
        ("results.csv", r"0\.7271376", "much", "results.csv cannot be read: ValueError"),
        ("meta.json", r'"dice": \{\s+"mean": 0\.\d', '"dice": {"mean": 0.9', r"dice of '.*' is 0\.\d+ by results\.csv"),
        ("meta.json", r"\{", "", "meta.json cannot be read: JSONDecodeError"),
        ("meta.json", r'"letters"', '"better"', "meta.json cannot be read: TypeError"),
        ("meta.json", r'"provenance"', '"origin"', "meta.json cannot be read: KeyError"),
        ("meta.json", r'"suite": "s"', '"suite": "t"', "holds the results of 't'"),
    ],
)
def test_figures_that_were_changed_are_caught(published, check, file, pattern, by, fault):
    change(published / file, pattern, by)
    assert re.search(fault, "\n".join(check()))


def test_a_figure_of_the_page_that_was_changed_is_caught(published, check):
    change(published / "README.md", r"0\.727 \[", "0.777 [")
    assert check() == []  # that is about the CSV
    assert page(read_meta(published)) != (published / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["results.csv", "meta.json", "README.md"])
def test_a_file_that_is_missing_is_named(published, check, name):
    (published / name).unlink()
    (fault,) = check()
    assert f"lacks {name}." in fault
    assert published_folders(published.parent) == [published]


def test_a_suite_that_changed_or_does_not_ship_is_a_fault(published, check, suite_file):
    suite_file.write_text(SUITE + "# a remark\n")
    (fault,) = check()
    assert fault.endswith(
        "has changed since its results were published. A published suite never changes: make a new one."
    )
    suite_file.unlink()
    assert "results of a suite that does not ship" in check()[0]


def test_a_page_written_by_hand_is_no_published_suite(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "README.md").write_text("# By hand\n")
    assert published_folders(tmp_path) == []


def test_line_ends_of_another_system_do_not_matter(published, check):
    for name in ("results.csv", "meta.json"):
        text = (published / name).read_bytes()
        (published / name).write_bytes(text.replace(b"\n", b"\r\n"))
    assert check() == []


def test_on_the_command_line(large_study, suite_file, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_report, "open_report", lambda suite: report_of(large_study))
    done = CliRunner().invoke(app, ["bench", "report", str(suite_file), "--publish", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    assert f"Published in {tmp_path / 'results' / 's'}." in done.stdout
    assert "Note: This code would give the runs other fingerprints" in done.stderr
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "results").write_text("")
    done = CliRunner().invoke(app, ["bench", "report", str(suite_file), "--publish", str(tmp_path / "results")])
    assert "Cannot make the folder" in str(done.exception)
    assert done.exit_code == 1
