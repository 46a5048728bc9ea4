"""The command line: parses, calls, prints. One file per verb."""

from __future__ import annotations

import os
import signal
import sys

import typer

from lungzoo.cli import bench, data, explain, export, list_, predict, train, tune, ui, weights
from lungzoo.errors import LungzooError

app = typer.Typer(
    name="lungzoo",
    help="Transfer learning on lung-cancer CT: which pretrained model, how, and is the difference real?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: lungzoo bench run quick",
)
app.add_typer(list_.app, name="list")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.add_typer(weights.app, name="weights")
app.add_typer(tune.app, name="tune")
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("explain")(explain.explain)
app.command("ui")(ui.ui)


_INTERRUPTED = 130
_CHECKPOINTED = "Run again, without --fresh, to go on from the last checkpoint."
# What is left of a command that is interrupted, by its first words.
_LEFT = {
    ("bench", "run"): _CHECKPOINTED,
    ("train",): _CHECKPOINTED,
    ("tune", "run"): "Trials that are over are kept. Run again, without --fresh, to go on.",
    ("tune", "join"): "Run again to go on with the trials that were cut off.",
    ("bench", "reproduce"): "Run again to go on from the last checkpoint, if --runs named a folder for it.",
    ("predict",): "Scans that were done are written; of the one in hand nothing is.",
    ("export",): "Nothing was written. Run again to start over.",
    ("explain",): "Nothing was written.",
    ("data", "import"): "Nothing was imported, and what was half written is removed. Run again to start over.",
    ("data", "phantom"): "Nothing was made, and what was half written is removed. Run again to start over.",
}


def _print_version(wanted: bool) -> None:
    if wanted:
        import lungzoo

        typer.echo(f"lungzoo {lungzoo.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    if debug:
        os.environ["LUNGZOO_DEBUG"] = "1"


def main() -> None:
    """Run the command line; errors become one or two lines and an exit code."""
    _set_defaults()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill tidies up like Ctrl-C
    try:
        app()
    except LungzooError as error:
        _leave(str(error), error, error.exit_code)
    except KeyboardInterrupt:
        _leave(_interrupted(sys.argv[1:]), None, _INTERRUPTED)
    except SystemExit as left:  # Typer answers Ctrl-C by leaving without a word
        if left.code != _INTERRUPTED:
            raise
        _leave(_interrupted(sys.argv[1:]), None, _INTERRUPTED)
    except Exception as error:
        _leave(f"Unexpected {type(error).__name__}: {error}. Run again with: lungzoo --debug …", error, 1)


def _interrupted(arguments: list[str]) -> str:
    """Say that a command was interrupted, and what is left of it."""
    words = [word for word in arguments if not word.startswith("-")]
    left = next((text for verb, text in _LEFT.items() if tuple(words[: len(verb)]) == verb), "")
    return f"Interrupted. {left}".rstrip()


def _leave(message: str, error: BaseException | None, code: int) -> None:
    if error and os.environ.get("LUNGZOO_DEBUG"):
        raise error
    prefix = "\x1b[31mError:\x1b[0m" if sys.stderr.isatty() else "Error:"
    sys.stderr.write(f"{prefix} {message}\n")
    sys.exit(code)


def _set_defaults() -> None:
    """Give libraries sensible settings unless the user chose others."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # scans' statistics stay where they are
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
