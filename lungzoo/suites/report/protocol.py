"""How the figures of a suite came about, in words."""

from __future__ import annotations

from typing import Any

from lungzoo.data.splits.split import UNNAMED
from lungzoo.suites.report.numbers import MIN_EMPTY
from lungzoo.tracking.record import RunRecord, SuitePlan

# What `Split.grouping` says, in words, and what its parts are counted in.
_KEPT = {
    "patient": ("patient", "patients"),
    "near": ("groups of patients that near-duplicate slices link", "patients"),
    UNNAMED: (
        "groups of near-duplicate slices (the set names no patients: each slice counts as one)",
        "counted as patients",
    ),
    "case": ("slice (the set names no patients, and slices of one may be in two parts)", "counted as patients"),
}
UNKNOWN_PATIENTS = (
    "The set names no patients: what is called a patient here is an image, and images of one person count as several. "
    "Intervals are too narrow, and arms are told apart too easily."
)


def names_patients(split: dict[str, Any]) -> bool:
    """Return whether the patients of a split are known; where they are not, each image counts as one."""
    return split.get("grouping") not in (UNNAMED, "case")


def protocol_in_words(plan: SuitePlan, finished: list[RunRecord]) -> tuple[str, ...]:
    """Return the sentences that belong under a table: data, split, selection, what is averaged over what."""
    data = plan.dataset
    licence = stated("licence", data["licence"])
    lines = [f"Dataset {data['name']}: {data['title']}, {licence}; fingerprint {data['fingerprint'][:12]}."]
    if not finished:
        return (*lines, *plan.warnings)
    record = finished[0]
    per_fold = {record.fold: record for record in finished}
    counts = {key: sum(each.counts[key] for each in per_fold.values()) for key in record.counts}
    lines += [split_in_words(each.split) for _, each in sorted(per_fold.items(), key=lambda pair: pair[0] or 0)]
    smallest = record.config["score"]["min_lesion_px"]
    small = f"; {counts['small']} with a lesion under {smallest} px left out" if smallest > 1 else ""
    lines.append(f"Test: {counts['lesion']} slices with a lesion, {counts['empty']} without{small}.")
    seeds = sorted({record.seed for record in finished})
    over = f", means over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f", seed {seeds[0]}"
    lines.append(_choice_in_words(record))
    lines.append(f"Test split predicted once per run{over}. [ ]: 95% interval over {_drawn(record, len(seeds))}.")
    rate = "; FP: share of lesion-free slices marked" if counts["empty"] >= MIN_EMPTY else ""
    lines.append(f"Means over slices with a lesion; FP lesions: a slice, over all{rate}.")
    lines += _known_spacing(list(per_fold.values()), counts["lesion"])
    # A leak may have been found before a run began, or after it had finished.
    lines += sorted({text for record in finished if (text := record.split["leakage"])} | set(plan.warnings))
    return tuple(lines)


def stated(what: str, text: str) -> str:
    """Return what a dataset says of its licence or citation; where it says nothing, which of them is meant."""
    return f"{what} {text}" if text == "not stated" else text


def _drawn(record: RunRecord, seeds: int) -> str:
    """Say what intervals are over."""
    if not names_patients(record.split):
        return ("seeds and " if seeds > 1 else "") + "images, whose patients are unknown: too narrow"
    return "patients and seeds" if seeds > 1 else "patients"


def _known_spacing(records: list[RunRecord], lesions: int) -> list[str]:
    """Say where fewer slices have a distance than a Dice."""
    known = [record.metrics["hd95_mm"] for record in records if "hd95_mm" in record.metrics]
    cases, patients = (int(sum(figure[key] for figure in known)) for key in ("cases", "patients"))
    if not known or cases >= lesions:
        return []
    return [f"HD95, NSD and areas in mm²: over the {cases} slices of {patients} patients whose spacing is known."]


def _choice_in_words(record: RunRecord) -> str:
    if record.fold is None:
        return "Chosen on the validation split alone: best epoch of each run, order of the rows, ★."
    return (
        "Best epoch of each run: chosen on its fold's validation patients. Order of the rows, ★: on those of all "
        "folds, who are tested in other folds."
    )


def split_in_words(split: dict[str, Any]) -> str:
    """Say how patients were dealt: "Split by patient, seed 0: train/val/test 9/3/4 patients, …"."""
    kept, counted = _KEPT.get(split["grouping"], _KEPT["patient"])
    scheme = "" if split["scheme"] == "random" else f", {split['scheme']}"
    patients = "/".join(str(split["patients"][part]) for part in ("train", "val", "test"))
    slices = "/".join(str(split["slices"][part]) for part in ("train", "val", "test"))
    dealt = f"train/val/test {patients} {counted}, {slices} slices"
    return f"Split by {kept}{scheme}, seed {split['split_seed']}: {dealt}."
