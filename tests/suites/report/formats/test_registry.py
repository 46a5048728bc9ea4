"""Formats by name and by suffix, JSON, and files that are whole or not there."""

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lungzoo.cli import app, bench_report
from lungzoo.config import RESULTS_REVISION
from lungzoo.errors import StorageError, UnknownNameError, UsageError
from lungzoo.suites.report.formats.json_file import to_json
from lungzoo.suites.report.formats.registry import FORMATS, choose_format, write_file
from lungzoo.suites.report.report import build_report


@pytest.fixture(scope="module")
def kept():
    return []


@pytest.fixture
def command(kept, request, monkeypatch):
    """`lungzoo bench report s …` on the large study, which is analysed once, without a store."""
    if not kept:
        study = request.getfixturevalue("large_study")
        kept.append(build_report(study.suite, study.tracker, draws=200))
    report = kept[0]
    monkeypatch.setattr(bench_report, "open_report", lambda suite: report)

    def run(*options):
        done = CliRunner().invoke(app, ["bench", "report", "s", *map(str, options)])
        if isinstance(done.exception, UsageError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("to", "begin"), [("csv", "arm,model"), ("md", "### A suite"), ("latex", "% Needs"), ("json", "{"), ("text", "A s")]
)
def test_every_format_is_printed_and_written(command, tmp_path, to, begin):
    printed = command("--to", to)
    assert printed.startswith(begin)
    assert command("--to", to, "-o", tmp_path / "out") == f"Wrote {tmp_path / 'out'}.\n"
    assert (tmp_path / "out").read_text(encoding="utf-8") == printed


def test_json_is_a_format_with_a_switch_of_its_own(command):
    assert command("--json") == command("--to", "json")


@pytest.mark.parametrize("name", FORMATS)
def test_a_suffix_tells_the_format(command, tmp_path, name):
    file = tmp_path / f"table{FORMATS[name].suffix}"
    command("--out", file)
    assert file.read_text(encoding="utf-8") == command("--to", name)


def test_the_help_names_every_format():
    text = CliRunner().invoke(app, ["bench", "report", "--help"], env={"COLUMNS": "300", "NO_COLOR": "1"}).output
    assert all(re.search(rf"\b{name}\b", text) for name in ("text", *FORMATS))


def test_formats_that_do_not_exist():
    with pytest.raises(UnknownNameError, match=r"Unknown format 'jsn'\. Did you mean 'json'\?"):
        choose_format("jsn", None)
    with pytest.raises(UsageError, match=r"does not tell the format. Received: suffix '.xls'. Allowed: .txt, .csv, "):
        choose_format(None, Path("table.xls"))
    assert choose_format(None, None) == choose_format(None, Path("table.txt")) == "text"


def test_publishing_goes_alone(command, tmp_path):
    with pytest.raises(UsageError, match="--publish: give one alone"):
        command("--publish", tmp_path, "--to", "csv")


def test_what_a_file_held_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "table.csv"
    for text in ("one\n", "two\n"):
        write_file(text, file)
    assert file.read_text() == "two\n"
    assert list(tmp_path.iterdir()) == [file]


def test_places_that_take_no_file(tmp_path):
    with pytest.raises(UsageError, match=r"There is no folder .*gone to write table.csv into\. Make it, or choose"):
        write_file("", tmp_path / "gone" / "table.csv")
    with pytest.raises(UsageError, match=r"is a folder\. Give the name of a file in it\."):
        write_file("", tmp_path)
    with pytest.raises(StorageError, match="Cannot write"):
        write_file("", tmp_path / f"{'x' * 300}.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file("table\n", pipe)
    assert os.read(reader, 100) == b"table\n"
    os.close(reader)
    assert pipe.is_fifo()


def test_json_has_the_pairs_the_resolution_and_where_it_comes_from(large_study):
    values = json.loads(to_json(build_report(large_study.suite, large_study.tracker, draws=200)))
    pairs = {(pair["first"].split(" / ")[1], pair["second"].split(" / ")[1]): pair for pair in
             values["comparison"]["pairs"]}  # fmt: skip
    alike, apart = pairs["imagenet-frozen", "imagenet-finetune"], pairs["imagenet-frozen", "scratch"]
    assert (alike["different"], apart["different"]) == (False, True)
    assert apart["difference"] == pytest.approx(0.2, abs=0.01)
    assert apart["low"] < apart["difference"] < apart["high"]
    assert apart["p"] <= apart["p_holm"] < 0.05 < alike["p_holm"]
    assert values["resolution"]["sentence"] in values["remarks"]
    assert values["statistics"] == {"draws": 200, "level": 0.95}
    assert values["provenance"]["seeds"] == [0, 1, 2]
    assert values["provenance"]["splits"][0]["fingerprint"] == "s" * 64


def test_json_of_a_suite_with_nothing_to_compare(study, cases):
    study.finish(study.plan(), cases([0.5, math.nan, 0.7], hd95_mm=math.nan))
    study.plan("imagenet-frozen")
    values = json.loads(to_json(build_report(study.suite, study.tracker, draws=200)))
    assert values["comparison"] is None
    assert values["rows"][0]["metrics"]["hd95_mm"]["mean"] is None
    assert values["resolution"]["difference"] is None  # two patients show no difference, however large


def test_provenance_names_versions_and_what_is_wrong_with_them(study, cases):
    environments = [
        {"python": "3.11.9", "cpus": 2, "packages": {"lungzoo": "0.1.0", "keras": "3.15.1"}, "git_commit": "a" * 40},
        {"python": "3.11.9", "cpus": 2, "packages": {"lungzoo": "0.2.0", "keras": "3.15.1"}, "git_commit": ""},
        {"python": "3.11.9", "cpus": 4, "packages": {"lungzoo": "0.2.0"}, "git_commit": "b" * 40 + "+changes"},
    ]
    for seed, environment in enumerate(environments):
        started = f"2026-01-0{seed + 1}T10:00:00+00:00"
        study.finish(study.plan(seed=seed), cases([0.5] * 3), environment=environment, started=started)
    found = json.loads(to_json(build_report(study.suite, study.tracker, draws=200)))["provenance"]
    assert (found["date"], found["lungzoo"], found["metrics_version"]) == ("2026-01-03", ["0.1.0", "0.2.0"], 1)
    assert found["git_commits"] == ["a" * 40, "b" * 40 + "+changes"]
    assert found["software"] == [{"python": "3.11.9", "keras": "3.15.1"}, {"python": "3.11.9"}]
    assert found["hardware"] == [{"cpus": 2}, {"cpus": 4}]
    assert found["results_revision"] is None  # the fingerprints of the study are made up
    assert found["notes"] == [
        "The runs come from several versions of the code: 0.1.0, 0.2.0, aaaaaaaaaaaa, bbbbbbbbbbbb.",
        "The code of some runs had changes that no commit holds.",
        "This code would give the runs other fingerprints: another revision of it, or other defaults, made them.",
    ]


def test_the_revision_is_told_by_the_fingerprints(study, cases):
    from lungzoo.config import ExperimentConfig

    run = study.plan()
    config = ExperimentConfig.model_validate(run.config)
    study.runs[:] = [replace(run, fingerprint=config.fingerprint("d" * 64))]
    study.finish(study.runs[0], cases([0.5] * 3))
    found = json.loads(to_json(build_report(study.suite, study.tracker, draws=200)))["provenance"]
    assert found["results_revision"] == RESULTS_REVISION
    assert found["notes"] == []
