"""LaTeX that compiles: every row whole, every name escaped."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from lungzoo.suites.report.formats.latex import escape, to_latex
from lungzoo.suites.report.report import build_report

AWKWARD = r"a_b^2 100% & {c} | #d $e ~ \f <µ> é 肺"


def latex(study):
    return to_latex(build_report(study.suite, study.tracker, draws=200))


def check_whole(text):
    """Braces match, environments nest, each row has the columns that its table promises, and only Latin letters."""
    bare = re.sub(r"\\[\\{}%&$#_]", "", re.sub(r"(?m)^%.*$", "", text))
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert all(ord(character) < 0x180 for character in bare)
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"] * text.count(r"\begin{table}")
    for sides, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for row in (line for line in body.splitlines() if line.endswith(r"\\")):
            spans = sum(int(number) - 1 for number in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + spans == len(sides), row


def test_arms_and_differences_are_two_tables(large_study):
    text = latex(large_study)
    check_whole(text)
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert r"\textbf{imagenet-frozen $\star$} & \textbf{0.810} & \textbf{0.727\,[0." in text
    assert re.search(r"(?m)^scratch & 0\.610 & 0\.526\\,\[0\.\d{3}, 0\.\d{3}\] & b & ", text)
    assert re.search(r"(?m)^imagenet-frozen & imagenet-finetune & 0\.003\\,\[\$-\$0\.\d{3}, 0\.\d{3}\] & 0\.\d", text)
    assert r"\textbf{imagenet-finetune} & \textbf{scratch} & \textbf{0.198" in text
    assert r"\textbf{$<$ 0.001}" in text
    assert r"over 120 cases of 40 patients, 3 seed(s), with 95\% intervals" in text
    assert r"All arms: unet\_mobilenetv2." in text
    assert r"Split by patient, seed 0: train/val/test 9/3/4 patients" in text


def test_special_characters_are_printed_as_they_are(study, cases):
    run = replace(study.plan(), arm=f"{AWKWARD} / [x]")
    study.runs[:] = [run]
    study.finish(run, cases([0.5, 0.6, 0.7]))
    text = latex(study)
    check_whole(text)
    assert (
        r"a\_b\textasciicircum{}2 100\% \& \{c\} $|$ \#d \$e \textasciitilde{} \textbackslash{}f $<$$\mu$$>$ é "
        r"\texttt{U+80BA} / [x] $\star$" in text
    )


def test_a_bracket_after_a_line_break_is_no_argument():
    assert escape("[x]") == "{}[x]"
    assert escape("*") == "{}*"


def test_a_suite_half_done(study, cases):
    study.finish(study.plan("scratch", 0), cases([0.5, 0.6, 0.7]))
    study.plan("scratch", 1)
    study.finish(study.plan("imagenet-frozen"), None, status="skipped", reason="100 % gone\nGo_online.")
    study.plan("imagenet-finetune")
    text = latex(study)
    check_whole(text)
    assert "scratch (1 of 2 seeds) & " in text
    assert r"imagenet-frozen & \multicolumn{8}{l}{\emph{skipped}} \\" in text
    assert "% unet_mobilenetv2 / imagenet-frozen: skipped: 100 % gone Go_online." in text
    assert text.count(r"\begin{table}") == 1  # nothing is compared


def test_a_suite_without_any_result(study):
    study.plan()
    text = latex(study)
    check_whole(text)
    assert "A suite. No run is finished." in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(study, large_study, cases, tmp_path):
    study.finish(replace(study.plan("imagenet-gradual"), arm=AWKWARD), cases([0.5, 0.6, 0.7]))
    study.runs[-1] = replace(study.runs[-1], arm=AWKWARD)
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "paper.tex").write_text(f"{head}\n{latex(study)}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
