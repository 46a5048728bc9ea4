"""Writes what a search found where suites find it."""

from __future__ import annotations

from pathlib import Path

from lungzoo.atomic import write_atomic
from lungzoo.config import TunedConfig
from lungzoo.content import content_dir
from lungzoo.errors import UsageError, storage_error
from lungzoo.schema import parse, read_toml
from lungzoo.search.run import BEST_FILE
from lungzoo.weights.toml import toml_text


def apply_search(search: str, name: str | None, to: Path | None, force: bool) -> tuple[Path, TunedConfig]:
    """Write the best settings of a search as TOML.

    Args:
        search: its name.
        name: of the result; None for the search's.
        to: folder to write into; None for `tuning/best` of a checkout, or the working directory.
        force: replace a file that is there, and take over settings that found no lesion.

    Returns:
        The file, and what it says.

    Raises:
        UnknownNameError: the store has no such search.
        UsageError: the search has found nothing yet, or nothing that learned, or the file exists.
        StorageError: the folder cannot be written.
    """
    from lungzoo.tracking.mlflow_connection import default_uri
    from lungzoo.tracking.mlflow_search import PREFIX, check_search
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    check_search(default_uri(), search)
    found = MlflowTracker(PREFIX + search).search_file(BEST_FILE)
    if found is None:
        raise UsageError(
            f"The search '{search}' has no finished trial yet, or was killed before it could say so. "
            "Run the command that started it again; it goes on."
        )
    values = {**read_toml(found), **({"name": name} if name else {})}
    tuned = parse(TunedConfig, values, f"Search '{search}'")
    folder = to or _usual_place()
    path = folder / f"{tuned.name}.toml"
    if path.exists() and not force:
        raise UsageError(f"{path} exists. Replace it with --force, or give another --name.")
    if tuned.val_dice <= 0 and not force:
        raise UsageError(
            f"The best trial of the search '{search}' found no lesion (validation Dice 0): its settings are no better "
            "than any. Search with more epochs or other ranges, or take them all the same with --force."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, toml_text(tuned.model_dump(mode="json")))
    except OSError as error:
        raise storage_error("write", error) from error
    return path, tuned


def _usual_place() -> Path:
    """Return where suites find tuned settings by name: in a checkout; an installed package is not written into."""
    shipped = content_dir("best")
    return Path.cwd() if "_content" in shipped.parts else shipped
