"""Every `lungzoo …` command that the README or a page of docs names exists, with the options it names."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from lungzoo.cli import app

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PAGES += ["CONTRIBUTING.md", "benchmarks/README.md", "tuning/README.md", "mlflow/README.md"]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^(?: {4,}|\$ )?lungzoo (.*)$", re.MULTILINE)
_INLINE = re.compile(r"`lungzoo\s([^`]*)`")
_USAGE_ERROR: Any = typer.BadParameter.__base__  # click's, wherever typer has it from
_SHELL = ("", "bash", "sh", "console")


def commands_in(text: str) -> list[list[str]]:
    """Return the arguments of every command line in a page: in blocks, and indented."""
    blocks = [body for language, body in _FENCED.findall(text) if language in _SHELL]
    lines = "\n".join([*blocks, *re.findall(r"^ {4,}lungzoo .*$", _FENCED.sub("", text), re.MULTILINE)])
    return [shlex.split(line, comments=True) for line in _LINE.findall(lines.replace("\\\n", " "))]


def mentions_in(text: str) -> list[list[str]]:
    """Return the words after `lungzoo` of every command that the running text names, in part or as a whole."""
    return [shlex.split(words) for words in _INLINE.findall(_FENCED.sub("", text))]


def _on_pages(find: Any) -> list[Any]:
    """Return (page, arguments) of all pages, each command once a page."""
    found = {page: find((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    once = {(page, *arguments): arguments for page, commands in found.items() for arguments in commands}
    return [pytest.param(arguments, id=" ".join(key)) for key, arguments in once.items()]


@cache
def _command_line() -> Any:
    return get_command(app)


def _descend(arguments: list[str]) -> tuple[Any, list[str]]:
    """Return the command that is meant, and the arguments after its name."""
    command, rest = _command_line(), list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command '{rest[0]}'. Allowed: {', '.join(command.commands)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("arguments", _on_pages(commands_in))
def test_command_lines_parse(arguments: list[str]) -> None:
    """Nothing is carried out."""
    command, rest = _descend(arguments)
    command.make_context("lungzoo", rest, parent=typer.Context(_command_line()))


@pytest.mark.parametrize("words", _on_pages(mentions_in))
def test_mentioned_commands_and_options_exist(words: list[str]) -> None:
    """A mention may leave out what the command needs."""
    command, rest = _descend(words)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= set(command.get_help_option_names(typer.Context(command)))
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known


def test_commands_are_found_in_every_form_that_pages_use() -> None:
    page = (
        "Run `lungzoo list\nmodels`:\n\n```bash\nlungzoo tune run finetune \\\n  --data D   # why\nls\n```\n\n"
        "    lungzoo ui\n\n```python\nlungzoo.load('x')\n```\n\n```console\n$ lungzoo weights list\n```\n"
    )
    assert commands_in(page) == [["tune", "run", "finetune", "--data", "D"], ["weights", "list"], ["ui"]]
    assert mentions_in(page) == [["list", "models"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data imprt folder a b", "no command 'imprt'. Allowed: audit"),
        ("train m --data d --epoch 3", "No such option: --epoch"),
        ("train m --data d --epochs many", "Invalid value for '--epochs'"),
        ("export n --to onnx", "--out"),
    ],
)
def test_wrong_commands_are_told(line: str, message: str) -> None:
    with pytest.raises((AssertionError, _USAGE_ERROR)) as told:
        test_command_lines_parse(line.split())
    assert message in (told.value.format_message() if isinstance(told.value, _USAGE_ERROR) else str(told.value))


def test_all_pages_are_read() -> None:
    pages = {parameter.id.split()[0] for parameter in _on_pages(commands_in)}
    assert pages >= {"README.md", "docs/sharing.md", "docs/predicting.md", "docs/splits.md", "docs/comparing.md"}
