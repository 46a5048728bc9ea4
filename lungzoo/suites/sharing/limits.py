"""What must be said of weights beside their figures."""

from __future__ import annotations

from lungzoo.suites.report.protocol import names_patients
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.manifest import WeightsManifest

ROUGH_PATIENTS = 30
"""Below so many test patients an interval says little, and may be too narrow."""


def limits_of(manifest: WeightsManifest, record: RunRecord) -> list[str]:
    """Return sentences about what the figures of a run do not tell.

    Args:
        manifest: of the weights.
        record: of their run.
    """
    data, split = record.dataset, record.split
    found = [
        f"Trained and tested on one dataset, {data['title']}; other scanners, protocols and patients were not tried.",
        "One run with one seed: intervals are over patients, and do not tell how another training would differ.",
    ]
    if nothing := found_nothing(record, manifest):
        found.insert(0, f"**{nothing}**")
    if split.get("leakage"):
        found.insert(0, f"**{split['leakage']}**")
    if split["patients"]["test"] < ROUGH_PATIENTS:
        found.append(_few(split["patients"]["test"]))
    if not names_patients(split):
        found.append("The dataset names no patients: the counts of patients above are of images.")
    if not record.counts.get("empty"):
        found.append("No test slice was free of lesions: how often it marks something in healthy lung is not known.")
    if size_px := record.config["data"].get("size_px"):
        found.append(f"It was trained on crops of {size_px}×{size_px} pixels, not on whole slices.")
    if data.get("reader") == "phantom":
        found.append("The data are a synthetic phantom: it has seen no patient, and its figures mean nothing for any.")
    if not manifest.ancestry_known:
        found.append(f"It started from '{manifest.source}', whose own training patients are not all listed here.")
    if manifest.second_stage:
        found.append(
            "Classes were learnt from lesions alone: what is marked by mistake is given one of them, too, and nothing "
            "says that it is none."
        )
    if tuned := manifest.protocol.get("tuned"):
        found.append(
            f"`lungzoo predict` uses threshold {manifest.protocol['score']['threshold']:g} and steps, or none, that "
            f"were chosen on {tuned['validation_cases']} validation cases; the figures above are of the plain pass at "
            f"threshold {tuned['threshold_of_metrics']:g}."
        )
    return found


def found_nothing(record: RunRecord, manifest: WeightsManifest | None = None) -> str:
    """Return a sentence on a network with a validation Dice of 0, "" of all others.

    Args:
        record: of its run.
        manifest: of its weights; the figure is not of the steps that `lungzoo tune postprocess` may have put there.
    """
    if record.validation["val_dice"] > 0 or (manifest and "tuned" in manifest.protocol):
        return ""
    return "It found no lesion of the validation split."


def _few(patients: int) -> str:
    if patients < 2:
        return "A single test patient: its figures have no interval, and tell nothing of others."
    return f"Only {patients} test patients: the intervals are rough."
