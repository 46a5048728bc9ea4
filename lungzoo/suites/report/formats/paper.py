"""A folder for a paper: tables, figures as PDF and SVG, and a document that shows them all."""

from __future__ import annotations

from pathlib import Path

from lungzoo.errors import UsageError, storage_error
from lungzoo.suites.report.figures.drawing import drawing
from lungzoo.suites.report.formats.latex import escape, to_latex
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.report import Report

DOCUMENT, TABLES, FIGURES = "report.tex", "tables.tex", "figures"
_MARK = "% Written by lungzoo bench report --paper; the next call replaces it."
_LATEXMK = "$pdf_mode = 1;\n@default_files = ('report.tex');\n"


def write_paper(report: Report, folder: Path) -> list[Path]:
    """Write report.tex, tables.tex, figures/ and a .latexmkrc, so that `latexmk` in the folder makes report.pdf.

    Args:
        report: of the suite.
        folder: new, empty, or written by an earlier call.

    Returns:
        The files that were written.

    Raises:
        UsageError: the folder holds something else.
        StorageError: it cannot be written.
    """
    _check_ours(folder)
    files = {TABLES: to_latex(report).encode(), ".latexmkrc": _LATEXMK.encode()}
    with drawing(report, ("pdf", "svg")) as draw:
        drawn = draw()
    for each, found in drawn:
        files |= {f"{FIGURES}/{each.name}.{kind}": content for kind, content in found.items()}
    files[DOCUMENT] = _document(report, [(each.name, each.title, each.caption) for each, _ in drawn]).encode()
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise storage_error("write", error) from error
    return [folder / name for name in files]


def _check_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give --paper the name of a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    document = folder / DOCUMENT
    if not document.is_file() or _MARK not in document.read_text("utf-8", "replace"):
        raise UsageError(
            f"{folder} is not empty, and holds no report of lungzoo that could be replaced. Give --paper a new folder."
        )


def _document(report: Report, figures: list[tuple[str, str, str]]) -> str:
    shared = short_names([arm.arm for arm in report.results.arms])[1]
    lines = [
        _MARK,
        "\\documentclass{article}",
        "\\usepackage[T1]{fontenc}",
        "\\usepackage[utf8]{inputenc}",
        "\\usepackage{lmodern}",
        "\\usepackage[margin=2.2cm]{geometry}",
        "\\usepackage{booktabs,graphicx}",
        f"\\title{{{escape(report.plan.title)}}}",
        f"\\author{{lungzoo, suite {escape(report.plan.name)}}}",
        "\\date{}",
        "\\begin{document}",
        "\\maketitle",
        escape(report.plan.description),
        "\\section*{Results}",
        f"\\input{{{TABLES.removesuffix('.tex')}}}",
        "\\clearpage",
    ]
    said = f" All arms: {shared}." if shared else ""
    for name, title, caption in figures:
        lines += [
            "\\begin{figure}[htbp]",
            "\\centering",
            f"\\includegraphics[width=\\linewidth]{{{FIGURES}/{name}.pdf}}",
            f"\\caption{{\\textbf{{{escape(title)}}} {escape(caption + said)}}}",
            f"\\label{{fig:{name}}}",
            "\\end{figure}",
        ]
    protocol = [f"\\item {escape(line)}" for line in (*report.table.protocol, *report.table.remarks)]
    lines += ["\\clearpage", "\\section*{Protocol}", "\\begin{itemize}", *protocol, "\\end{itemize}", "\\end{document}"]
    return "\n".join(lines) + "\n"
