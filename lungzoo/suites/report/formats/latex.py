"""The comparison as LaTeX: one table of the arms, one of the differences between them."""

from __future__ import annotations

import re

from lungzoo.statistics.paired import Comparison
from lungzoo.suites.report.columns import Column, columns, verdict
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.numbers import number, p_value
from lungzoo.suites.report.report import Report
from lungzoo.suites.report.table import Row, over_what

# Of the table's columns, those that a page has room for, and two of the costs.
_MAX_RANK = 6
_COSTS = ("Params", "Predict")
_HEAD = "% Needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs,graphicx}.\n"
_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$",
    "|": "$|$", '"': "''", "\n": " ", "\xa0": "~", "–": "--", "—": "---", "…": "\\ldots{}", "’": "'", "‘": "`",
    "“": "``", "”": "''", "★": "$\\star$", "−": "$-$", "×": "$\\times$", "·": "$\\cdot$", "±": "$\\pm$",
    "≤": "$\\leq$", "≥": "$\\geq$", "→": "$\\to$", "∗": "$*$", "²": "$^2$", "³": "$^3$", "µ": "$\\mu$", "μ": "$\\mu$",
    "α": "$\\alpha$", "β": "$\\beta$", "γ": "$\\gamma$", "κ": "$\\kappa$",
}  # fmt: skip


def to_latex(report: Report) -> str:
    """Return a booktabs table of the arms and, where they are compared, one of the differences."""
    comparison = report.analysis.comparison
    found = [_arms(report), *([_differences(report, comparison)] if comparison else [])]
    return "\n".join([_HEAD, *found])


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is; a letter that plain pdfLaTeX lacks becomes its code point."""
    escaped = "".join(_SPECIAL.get(character) or _letter(character) for character in text)
    # After \\ these would be read as an argument of the line break.
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def _letter(character: str) -> str:
    if character.isprintable() and ord(character) < 0x180:
        return character
    return f"\\texttt{{U+{ord(character):04X}}}" if character.isprintable() else " "


def _arms(report: Report) -> str:
    table, (names, shared) = report.table, _names(report)
    shown = [column for column in columns(table)[1:] if column.rank <= _MAX_RANK or column.heading in _COSTS]
    finished = [row for row in table.rows if row.seeds]
    sides = "".join("l" if finished and isinstance(column.value(finished[0]), str) else "r" for column in shown)
    body = [_arm(row, escape(names[row.arm]), shown) for row in table.rows]
    headings = ["Arm", *(_interval(escape(column.heading)) for column in shown)]
    grid = _tabular("l" + sides, headings, body)
    notes = escape(" ".join([*table.remarks, *table.protocol]))
    grid.append(f"\\par\\smallskip\\parbox{{\\linewidth}}{{\\footnotesize {notes}}}")
    unfinished = [row for row in table.rows if row.status != "finished"]
    reasons = ["% " + " ".join(f"{row.arm}: {verdict(row)}".split()) for row in unfinished]
    return "\n".join([*_float(_caption(report, shared), f"tab:{report.plan.name}", grid), *reasons, ""])


def _arm(row: Row, name: str, shown: list[Column]) -> str:
    if not row.seeds:
        return f"{name} & \\multicolumn{{{len(shown)}}}{{l}}{{\\emph{{{escape(row.status)}}}}} \\\\"
    cells = [_interval(escape(column.cell(row).strip())) for column in shown]
    mark = " $\\star$" if row.selected else "" if row.status == "finished" else f" ({escape(row.status)})"
    return _line([name + mark, *cells], row.selected)


def _differences(report: Report, comparison: Comparison) -> str:
    names, shared = _names(report)
    arms, primary = [escape(names[arm]) for arm in report.analysis.compared], report.analysis.primary
    level = escape(f"{comparison.level:.0%}")
    body = []
    for pair, (first, second) in enumerate(zip(comparison.first, comparison.second, strict=True)):
        ends = [_signed(getattr(comparison, end)[pair], primary.digits) for end in ("low", "high")]
        apart = _signed(comparison.difference[pair], primary.digits) + f"\\,[{ends[0]}, {ends[1]}]"
        cells = [arms[first], arms[second], apart, _p(comparison.p[pair]), _p(comparison.p_holm[pair])]
        body.append(_line(cells, bool(comparison.different[first, second])))
    caption = (
        f"Differences in {escape(primary.title)} between arms of Table~\\ref{{tab:{report.plan.name}}}, over "
        f"{comparison.cases} cases of {comparison.patients} patients, with {level} intervals of each pair alone. "
        f"$p$: paired test {over_what(comparison)}; Holm: corrected over {len(comparison.p)} pair(s). "
        f"Bold: told apart at {escape(f'{1 - comparison.level:.0%}')}. {_shared(shared)}"
    )
    headings = ["Arm", "minus", f"{escape(primary.title)}\\,[{level} CI]", "$p$", "$p$ (Holm)"]
    grid = _tabular("llrrr", headings, body)
    return "\n".join([*_float(caption.strip(), f"tab:{report.plan.name}-differences", grid), ""])


def _tabular(sides: str, headings: list[str], body: list[str]) -> list[str]:
    """A grid that is wider than the page is made smaller."""
    return [
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{{sides}}}",
        "\\toprule",
        _line(headings, bold=False),
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}}",
    ]


def _float(caption: str, label: str, grid: list[str]) -> list[str]:
    head = ["\\begin{table}", "\\centering", f"\\caption{{{caption}}}", f"\\label{{{label}}}"]
    return [*head, *grid, "\\end{table}"]


def _caption(report: Report, shared: str) -> str:
    plan, primary = report.plan, report.analysis.primary
    found = next((row for row in report.table.rows if row.seeds), None)
    title = escape(plan.title) + ("" if plan.title.endswith((".", "?", "!")) else ".")
    if found is None:
        return f"{title} No run is finished."
    figure, seeds = found.metrics[primary.name], len({seed for row in report.table.rows for seed in row.seeds})
    parts = [
        title,
        f"Test {escape(primary.title)} over {figure['cases']} cases of {figure['patients']} patients, {seeds} seed(s), "
        "with 95\\% intervals. Bold, $\\star$: chosen on the validation split.",
        "Arms that share a letter are not told apart." if report.analysis.comparison else "",
        _shared(shared),
    ]
    return " ".join(part for part in parts if part)


def _names(report: Report) -> tuple[dict[str, str], str]:
    return short_names([row.arm for row in report.table.rows])


def _shared(shared: str) -> str:
    return f"All arms: {escape(shared)}." if shared else ""


def _line(cells: list[str], bold: bool) -> str:
    return " & ".join(f"\\textbf{{{cell}}}" if bold and cell else cell for cell in cells) + " \\\\"


def _interval(cell: str) -> str:
    """Keep a figure and its interval together."""
    return re.sub(r" \[", r"\\,[", cell)


def _signed(value: float, digits: int) -> str:
    return escape(number(value, digits)).replace("-", "$-$", 1) if value < 0 else escape(number(value, digits))


def _p(value: float) -> str:
    return escape(p_value(value).removeprefix("= "))
