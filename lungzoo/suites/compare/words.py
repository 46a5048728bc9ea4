"""A comparison in words for people, and as plain values for programs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from lungzoo.statistics.bootstrap import FEW_PATIENTS
from lungzoo.statistics.permutation import smallest_p
from lungzoo.suites.compare.differences import LEVEL, Compared, Difference, Mean
from lungzoo.suites.compare.pairs import Pair
from lungzoo.suites.plain import plain
from lungzoo.suites.report.numbers import number
from lungzoo.suites.report.protocol import UNKNOWN_PATIENTS, names_patients

UNCORRECTED = "Each interval covers 95% by itself; only p is corrected, over the pairs of this one metric."


def title(pair: Pair) -> str:
    """Return what is compared: the arm that both sides have, or the two."""
    one, other = pair.first.arm, pair.second.arm
    return one if one == other else f"{one}  –  {other}"


def cells(difference: Difference) -> tuple[str, str, str, str]:
    """Return a row of the table: metric, both means with intervals, and their difference with its interval."""
    digits = difference.metric.digits
    unit = f" ({difference.metric.unit})" if difference.metric.unit else ""
    ends = f"[{_signed(difference.low, digits)}, {_signed(difference.high, digits)}]"
    first, second = (_shown(mean, digits) for mean in (difference.first, difference.second))
    return difference.metric.title + unit, first, second, f"{_signed(difference.difference, digits)} {ends}"


def verdict(difference: Difference, pairs: int) -> str:
    """Say whether a difference holds up, and on what condition."""
    name, corrected = difference.metric.title, f", corrected over {pairs} pairs {difference.p_holm:.2g}"
    p = f"p = {difference.p:.2g}{corrected if pairs > 1 else ''}"
    seeds = f"{difference.first.seeds} and {difference.second.seeds} seeds"
    basis = f"{difference.cases} cases of {difference.patients} patients, {seeds}"
    if not difference.holds_up:
        alone = "It would hold up as the only pair. " if difference.p <= 1 - LEVEL else ""
        said = f"No difference in {name} is shown ({p}; {basis}). {alone}That does not make the two alike."
    else:
        size = number(abs(difference.difference), difference.metric.digits)
        unit = f" {difference.metric.unit}" if difference.metric.unit else ""
        said = f"{_holds_up(difference)}: {name} of the first is {size}{unit} {_direction(difference)} ({p}; {basis})."
    return f"{said} {_condition(difference)}"


def remarks(compared: Compared) -> tuple[str, ...]:
    """Return the sentences that belong under all pairs."""
    patients = min(difference.patients for difference in compared.differences)
    pairs = len(compared.pairs)
    found = [compared.resolution.sentence, UNCORRECTED]
    if smallest_p(patients) <= 1 - LEVEL < smallest_p(patients) * pairs:
        found.append(f"{patients} patients cannot show a difference among {pairs} pairs: compare fewer.")
    if patients < FEW_PATIENTS:
        found.append(f"Only {patients} patients: intervals of so few cover less often than they say.")
    thresholds = {
        (pair.first.config.score.threshold, pair.second.config.score.threshold) for pair in compared.pairs
    }  # fmt: skip
    found += [f"Thresholds differ, {a:g} and {b:g}: each belongs to its arm." for a, b in sorted(thresholds) if a != b]
    splits = [record.split for pair in compared.pairs for arm in (pair.first, pair.second) for record in arm.finished]
    found += [] if all(map(names_patients, splits)) else [UNKNOWN_PATIENTS]
    leaks = {split.get("leakage", "") for split in splits}
    leaks |= {*compared.first.plan.warnings, *compared.second.plan.warnings}  # found when all had finished
    return (*found, *sorted(leaks - {""}), *compared.notes)


def to_dict(compared: Compared) -> dict[str, Any]:
    """Return plain values for JSON; None where there is no number."""
    every = zip(compared.pairs, compared.differences, compared.others, strict=True)
    pairs = [
        {
            "first": pair.first.arm,
            "second": pair.second.arm,
            **_values(difference),
            "holds_up": difference.holds_up,
            "verdict": verdict(difference, len(compared.pairs)),
            "others": [_values(other) for other in others],
        }
        for pair, difference, others in every
    ]
    resolution = asdict(compared.resolution)
    found = {"first": compared.first.name, "second": compared.second.name, "pairs": pairs, "resolution": resolution}
    return dict(plain({**found, "remarks": remarks(compared)}))


def _holds_up(difference: Difference) -> str:
    return "The difference holds up" + ("" if difference.over_seeds else " for these trained networks")


def _condition(difference: Difference) -> str:
    if difference.over_seeds:
        return "This speaks of other patients and other seeds."
    once = [name for name, mean in (("first", difference.first), ("second", difference.second)) if mean.seeds < 2]
    whose = {1: f"of the {''.join(once)}", 2: "of each"}.get(len(once), "of each fold")
    return (
        f"This is conditional on the one seed {whose}: another may give another difference. Train each with two seeds "
        "or more, three at best."
    )


def _direction(difference: Difference) -> str:
    higher = difference.difference > 0
    word = "higher" if higher else "lower"
    if difference.metric.better == "zero":
        nearer = abs(difference.first.mean) < abs(difference.second.mean)
        return f"{word}, and {'nearer to' if nearer else 'further from'} 0"
    return f"{word}, which is {'better' if word == difference.metric.better else 'worse'}"


def _shown(mean: Mean, digits: int) -> str:
    ends = f" [{number(mean.low, digits)}, {number(mean.high, digits)}]" if math.isfinite(mean.low) else ""
    return number(mean.mean, digits) + ends


def _signed(value: float, digits: int) -> str:
    return f"{value:+z.{digits}f}" if math.isfinite(value) else "–"


def _values(difference: Difference) -> dict[str, Any]:
    values = {key: value for key, value in vars(difference).items() if key not in ("metric", "first", "second")}
    means = {"first_mean": asdict(difference.first), "second_mean": asdict(difference.second)}
    return {"metric": difference.metric.name, **means, **values}
