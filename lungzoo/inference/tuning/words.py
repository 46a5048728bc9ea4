"""What was tried, in words and as plain values."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lungzoo.inference.tuning.kept import Choice

if TYPE_CHECKING:
    from lungzoo.inference.tuning.gains import Difference, Gain
    from lungzoo.inference.tuning.grid import Tried
    from lungzoo.inference.tuning.held_out import HeldOut
    from lungzoo.inference.tuning.run import Outcome

FORMAT_VERSION = 1


def describe(choice: Choice, plain: Choice) -> str:
    """Say what differs from the plain pass; "nothing" where nothing does."""
    steps = choice.steps
    said = [
        (choice.threshold != plain.threshold, f"threshold {choice.threshold:g}"),
        (choice.flips, "mirror images"),
        (steps.lungs, "lungs"),
        (steps.fill_holes, "holes filled"),
        (steps.min_area_mm2 > 0, f"from {steps.min_area_mm2:g} mm²"),
        (steps.min_volume_mm3 > 0, f"from {steps.min_volume_mm3:g} mm³"),
        (steps.largest_per_slice is not None, f"the {steps.largest_per_slice} largest of a slice"),
        (steps.largest is not None, f"the {steps.largest} largest"),
    ]
    return ", ".join(words for does, words in said if does) or "nothing"


def values_of(choice: Choice) -> dict[str, Any]:
    """Return a choice as plain values; steps that are not taken are left out."""
    steps = choice.steps.model_dump(mode="json", exclude_defaults=True)
    return {"threshold": choice.threshold, "flips": choice.flips, "postprocess": steps}


def report_of(outcome: Outcome) -> dict[str, Any]:
    """Return what tuned.json holds; what is unknown is None."""
    from lungzoo.inference.tuning.grid import RULE

    grid = outcome.grid
    return {
        "format_version": FORMAT_VERSION,
        "weights": [{"name": each.name, "sha256": each.sha256} for each in outcome.weights],
        "rule": RULE,
        "validation": {
            **_cases(outcome.validation),
            "lesion_cases": grid.lesion_cases,
            "empty_cases": grid.empty_cases,
            "slice_by_slice": grid.axes.per_slice,
            "combinations": int(grid.dice.size),
            "plain": _tried(outcome.plain),
            "alone": {name: _tried(tried) for name, tried in outcome.alone.items()},
            "chosen": _tried(outcome.chosen),
        },
        "test": None if outcome.test is None else {**_cases(outcome.test), "gains": list(map(_gain, outcome.gains))},
    }


def _cases(held: HeldOut) -> dict[str, Any]:
    dataset = held.dataset
    about = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "shift_px": held.score.shift_px}
    return {**about, "cases": len(held.rows), "patients": len(set(held.patients))}


def _tried(tried: Tried) -> dict[str, Any]:
    return {**values_of(tried.choice), "dice": tried.dice, "marked": tried.marked}


def _gain(gain: Gain) -> dict[str, Any]:
    about = {"step": gain.row.name, "member": gain.row.member, **values_of(gain.row.choice), "against": gain.baseline}
    return {**about, "dice": _difference(gain.dice), "false_positive_rate": _difference(gain.marked)}


def _difference(figure: Difference) -> dict[str, Any]:
    return {key: None if math.isnan(value) else value for key, value in asdict(figure).items()}
