"""The files that a report can become, and how they reach the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lungzoo.atomic import write_atomic
from lungzoo.errors import UnknownNameError, UsageError, storage_error
from lungzoo.suites.report.formats.csv_file import to_csv
from lungzoo.suites.report.formats.html.page import to_html
from lungzoo.suites.report.formats.json_file import to_json
from lungzoo.suites.report.formats.latex import to_latex
from lungzoo.suites.report.formats.markdown import to_markdown
from lungzoo.suites.report.report import Report


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        suffix: that such files end with.
        render: Report -> the text of the file.
    """

    suffix: str
    render: Callable[[Report], str]


# A further format is one row.
FORMATS = {
    "csv": Format(".csv", to_csv),
    "md": Format(".md", lambda report: to_markdown(report.table)),
    "latex": Format(".tex", to_latex),
    "html": Format(".html", to_html),
    "json": Format(".json", to_json),
}
_ALSO = {"markdown": "md", "tex": "latex"}
TEXT = "text"  # for the terminal; the command line prints it


def choose_format(name: str | None, out: Path | None) -> str:
    """Return the format that is asked for: by its name, else by the file's suffix, else text.

    Raises:
        UnknownNameError: no format has the name.
        UsageError: there is no name, and the suffix tells none.
    """
    name = _ALSO.get(name or "", name)
    if name is not None:
        if name not in (TEXT, *FORMATS):
            raise UnknownNameError("format", name, (TEXT, *FORMATS))
        others = {each.suffix for key, each in FORMATS.items() if key != name}
        if out is not None and out.suffix in others and (name == TEXT or out.suffix != FORMATS[name].suffix):
            raise UsageError(f"The name {out} says another format than --to {name}. Leave one of the two out.")
        return name
    if out is None or out.suffix == ".txt":
        return TEXT
    by_suffix = {each.suffix: key for key, each in FORMATS.items()}
    if out.suffix not in by_suffix:
        raise UsageError(
            f"The name {out} does not tell the format. Received: suffix '{out.suffix}'. "
            f"Allowed: {', '.join(['.txt', *by_suffix])}, or any with --to FORMAT."
        )
    return by_suffix[out.suffix]


def write_file(text: str, path: Path) -> None:
    """Write a text file whole or not at all; what the path held before is replaced.

    Raises:
        UsageError: the folder is missing, or the path is one.
        StorageError: it cannot be written.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder. Give the name of a file in it.")
        if not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent} to write {path.name} into. Make it, or choose another.")
        if path.exists() and not path.is_file():  # a device or a pipe, which must stay one
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        write_atomic(path, text)
    except OSError as error:
        raise storage_error("write", error) from error
