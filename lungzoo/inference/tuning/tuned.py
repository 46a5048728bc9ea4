"""Weights that carry a choice: what `lungzoo predict` then does by default."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lungzoo.data.files.write import check_writable
from lungzoo.errors import UsageError, storage_error
from lungzoo.inference.members import MEMBER, TUNED
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.tuning.run import Outcome
from lungzoo.inference.tuning.words import report_of, values_of
from lungzoo.weights.index import MANIFEST
from lungzoo.weights.manifest import WeightsManifest, write_manifest

TRIED = "tried.csv"


def check_out(out: Path, force: bool) -> None:
    """Refuse a folder that is there or cannot be made, before anything is predicted.

    Raises:
        UsageError: it exists; with `force` only where it is not one that tuning made; or it may not be written.
    """
    check_writable(out)
    if not out.exists():
        return
    if not force:
        raise UsageError(f"{out} exists already. Choose another folder, or replace it with --force.")
    if not (out / TUNED).is_file():
        raise UsageError(f"{out} was not made by lungzoo tune postprocess, so --force does not replace it.")


def write_tuned(outcome: Outcome, predictors: Sequence[Predictor], out: Path, force: bool) -> None:
    """Write the weights with their new manifests, `tuned.json` and `tried.csv`; the folder appears whole or not at all.

    A single model's manifest and file lie in the folder itself, those of an ensemble in member-1, member-2, …

    Raises:
        UsageError: see `check_out`.
        StorageError: it cannot be written.
    """
    check_out(out, force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _fill(made, outcome, predictors)
            _exchange(made, out, Path(scratch) / "old")
    except OSError as error:
        raise storage_error("write the tuned weights to", error) from error


def _exchange(made: Path, out: Path, old: Path) -> None:
    """Give a folder its name; what had it comes back where that fails."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(made, out)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise


def _fill(folder: Path, outcome: Outcome, predictors: Sequence[Predictor]) -> None:
    for number, predictor in enumerate(predictors, 1):
        place = folder / f"{MEMBER}{number}" if len(predictors) > 1 else folder
        place.mkdir(exist_ok=True)
        if predictor.file is None:
            raise UsageError(
                f"The model of '{predictor.manifest.name}' has no weights file, so there is none to write."
            )
        shutil.copyfile(predictor.file, place / predictor.manifest.file)
        write_manifest(tuned_manifest(predictor.manifest, outcome), place / MANIFEST)
    (folder / TUNED).write_text(json.dumps(report_of(outcome), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with (folder / TRIED).open("w", encoding="utf-8", newline="") as file:
        _write_tried(outcome, file)


def _threshold_before(protocol: Mapping[str, Any], plain: float) -> float:
    """Return the threshold of the metrics, of weights that were tuned once already the one from before that."""
    before = protocol.get("tuned")
    number = before.get("threshold_of_metrics") if isinstance(before, dict) else None
    return float(number) if isinstance(number, (int, float)) else plain


def tuned_manifest(manifest: WeightsManifest, outcome: Outcome) -> WeightsManifest:
    """Return a manifest whose protocol says what was chosen, and how; its metrics stay those of the plain pass."""
    chosen, protocol = outcome.chosen, manifest.protocol
    values = values_of(chosen.choice)
    how = {
        "dataset": outcome.validation.dataset.name,
        "validation_cases": len(outcome.validation.rows),
        "validation_dice": chosen.dice,
        "validation_dice_plain": outcome.plain.dice,
        "threshold_of_metrics": _threshold_before(protocol, outcome.grid.plain),
        "members": [each.sha256 for each in outcome.weights],
    }
    tables: dict[str, Any] = {
        "score": {**protocol.get("score", {}), "threshold": values["threshold"]},
        "postprocess": values["postprocess"],
        "predict": {"flips": values["flips"]},
        "tuned": how,
    }
    name = manifest.name if manifest.name.endswith("-tuned") else f"{manifest.name}-tuned"
    return manifest.model_copy(update={"name": name, "protocol": {**protocol, **tables}})


def _write_tried(outcome: Outcome, file: Any) -> None:
    steps = list(type(outcome.chosen.choice.steps).model_fields)
    writer = csv.writer(file)
    writer.writerow(["threshold", "flips", *steps, "val_dice", "val_marked"])
    for tried in outcome.grid:
        choice = tried.choice
        values = [getattr(choice.steps, step) for step in steps]
        writer.writerow([choice.threshold, choice.flips, *values, f"{tried.dice:.6f}", tried.marked])
