"""The folder for a paper."""

import shutil
import subprocess

import pytest

from lungzoo.errors import StorageError, UsageError
from lungzoo.suites.report.figures.contract import figures_in_order
from lungzoo.suites.report.formats.paper import write_paper
from lungzoo.suites.report.report import build_report

from ..conftest import DRAWS


@pytest.fixture
def few_figures(monkeypatch):
    """Two figures say as much of a folder as ten."""
    kept = figures_in_order()[:2]
    monkeypatch.setattr("lungzoo.suites.report.figures.drawing.figures_in_order", lambda: kept)
    return kept


def test_the_folder_holds_document_tables_and_figures(whole_report, few_figures, tmp_path):
    files = write_paper(whole_report, tmp_path / "paper")
    assert all(file.is_file() for file in files)
    document = (tmp_path / "paper" / "report.tex").read_text()
    for figure in few_figures:
        assert f"\\includegraphics[width=\\linewidth]{{figures/{figure.name}.pdf}}" in document
        assert (tmp_path / "paper" / "figures" / f"{figure.name}.svg").read_bytes().startswith(b"<?xml")
    assert "\\input{tables}" in document
    assert "\\toprule" in (tmp_path / "paper" / "tables.tex").read_text()


def test_a_second_call_replaces_the_first(whole_report, few_figures, tmp_path):
    report = whole_report
    first = {file: file.read_bytes() for file in write_paper(report, tmp_path / "paper")}
    assert {file: file.read_bytes() for file in write_paper(report, tmp_path / "paper")} == first


def test_other_people_s_files_stay(study, tmp_path):
    study.plan("scratch")
    report = build_report(study.suite, study.tracker, DRAWS)
    (tmp_path / "report.tex").write_text("my thesis")
    with pytest.raises(UsageError, match="is not empty, and holds no report of lungzoo that could be replaced"):
        write_paper(report, tmp_path)
    assert (tmp_path / "report.tex").read_text() == "my thesis"
    with pytest.raises(UsageError, match=r"is a file. Give --paper the name of a folder"):
        write_paper(report, tmp_path / "report.tex")
    with pytest.raises(StorageError, match="Cannot write"):
        write_paper(report, tmp_path / "report.tex" / "below")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("latexmk") is None, reason="needs latexmk")
def test_latexmk_compiles_it(whole_report, tmp_path):
    write_paper(whole_report, tmp_path)
    done = subprocess.run(["latexmk", "-interaction=nonstopmode"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
