"""Whole volumes lesion by lesion: FROC with the score of LUNA16, sensitivity by size, false positives per volume.

    lungzoo data phantom volumes --patients 12 --slices 40 --size 256
    python benchmarks/accuracy/detection.py --data volumes --weights lungzoo:unet_mobilenetv2_035-lidc-v1

Patients that a model was trained on, or chosen by, are left out. Intervals resample patients.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lungzoo.cli.hubs import named_weights
from lungzoo.data.splits.audit import common_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.inference.detection import Detected, Detection, detect, summarise_detection
from lungzoo.inference.members import open_members
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.metrics.froc import FALSE_POSITIVE_RATES
from lungzoo.statistics.bootstrap import Interval


def main() -> None:
    """Print the figures; `--json` writes them too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared dataset with whole volumes")
    parser.add_argument("--weights", action="append", required=True, help="as lungzoo predict takes them; repeatable")
    parser.add_argument("--no-lungs", action="store_true", help="look outside the lung fields, too")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    dataset = PreparedDataset(arguments.data)
    with open_members(named_weights(arguments.weights)) as members:
        named = _volumes(dataset)
        seen = set(common_patients(_seen(members), {patient for _, patient in named}))
        left_out = sum(patient in seen for _, patient in named)
        volumes = [_look(members, dataset, name, not arguments.no_lungs) for name, who in named if who not in seen]
        threshold = members[0].protocol.threshold
    if left_out:
        print(f"{left_out} volumes are of patients that the weights were trained on, and are left out.")
    if not volumes:
        raise SystemExit(f"No volume of {arguments.data} is left to look at. Give one with other patients.")
    found = summarise_detection(volumes, threshold)
    _print(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(_values(found), indent=1) + "\n", encoding="utf-8")


def _volumes(dataset: PreparedDataset) -> list[tuple[str, str]]:
    pairs = zip(dataset.cases["volume"].astype(str), dataset.cases["patient"].astype(str), strict=True)
    return list(dict.fromkeys(pairs))


def _seen(members: list[Predictor]) -> set[str]:
    known = [member.manifest.trained_on.patients for member in members if member.manifest.trained_on]
    return {patient for each in known for patient in (*each.train, *each.val)}


def _look(members: list[Predictor], dataset: PreparedDataset, name: str, lungs: bool) -> Detected:
    protocol = members[0].protocol
    found = detect(members, dataset, name, Passes(flips=protocol.flips), lungs, protocol.data.consensus_readers)
    candidates = found.candidates
    print(f"{name}: {candidates.lesions} lesions, {len(candidates.score)} candidates", flush=True)
    return found


def _print(found: Detection) -> None:
    curve = found.curve
    print(f"\n{curve.scans} volumes, {curve.lesions} lesions, {curve.candidates} candidates")
    print(f"FROC score (LUNA16) {curve.score:.3f} [{found.score_low:.3f}, {found.score_high:.3f}]")
    rates = (f"{rate:g}: {curve.sensitivity_at(rate):.3f}" for rate in FALSE_POSITIVE_RATES)
    print(f"sensitivity at false positives per volume: {', '.join(rates)}")
    print(f"at probability {found.threshold:g}: sensitivity {_shown(found.sensitivity, 'lesions')}")
    print(f"at probability {found.threshold:g}: false positives per volume {_shown(found.false_positives, 'volumes')}")
    for (low, high), interval in found.by_size.items():
        size = f"from {low:g} mm" if math.isinf(high) else f"{low:g} to {high:g} mm"
        print(f"  sensitivity, lesions {size}: {_shown(interval, 'lesions')}")


def _shown(interval: Interval, what: str) -> str:
    count = f"{interval.cases} {what}, {interval.patients} patients"
    if math.isnan(interval.low):
        return f"{interval.mean:.3f} ({count}; too few for an interval)"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}] ({count})"


def _values(found: Detection) -> dict[str, object]:
    curve = found.curve
    return {
        "volumes": curve.scans,
        "lesions": curve.lesions,
        "froc_score": [curve.score, found.score_low, found.score_high],
        "sensitivities": {str(rate): curve.sensitivity_at(rate) for rate in FALSE_POSITIVE_RATES},
        "threshold": found.threshold,
        "sensitivity": vars(found.sensitivity),
        "false_positives": vars(found.false_positives),
        "by_size_mm": {f"{low:g}-{high:g}": vars(interval) for (low, high), interval in found.by_size.items()},
    }


if __name__ == "__main__":
    main()
