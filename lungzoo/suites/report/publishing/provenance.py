"""Where the figures of a suite come from: versions, machines, splits, dates."""

from __future__ import annotations

import json
from typing import Any

from lungzoo.config import RESULTS_REVISION, ExperimentConfig
from lungzoo.metrics.contract import METRICS_VERSION
from lungzoo.suites.report.results import SuiteResults
from lungzoo.tracking.record import RunRecord, SuitePlan

CHANGED = "+changes"
_SPLIT = ("fingerprint", "split_seed", "scheme", "grouping", "patients", "slices")


def provenance(results: SuiteResults) -> dict[str, Any]:
    """Return plain values; they depend on the records alone, so that the same records give the same.

    Returns:
        date: of the newest run; lungzoo, git_commits: versions of the code; metrics_version; results_revision: None
        where it is not the present one; seeds, folds; splits, software, hardware: one entry for each kind; notes: what
        a reader has to know of them.
    """
    records = [record for arm in results.arms for record in arm.finished]
    found = {
        "date": max((record.started for record in records), default="")[:10],
        "lungzoo": _kinds(_packages(record).get("lungzoo", "") for record in records),
        "git_commits": _kinds(record.environment.get("git_commit", "") for record in records),
        "metrics_version": METRICS_VERSION,
        "results_revision": _revision(results.plan),
        "seeds": sorted({run.seed for run in results.plan.runs}),
        "folds": len({record.fold for record in records} - {None}),
        "splits": _kinds({key: record.split[key] for key in _SPLIT if key in record.split} for record in records),
        "software": _kinds(_software(record) for record in records),
        "hardware": _kinds(_chosen(record, "platform", "machine", "cpus") for record in records),
    }
    return {**found, "notes": _notes(found, bool(records))}


def _kinds(values: Any) -> list[Any]:
    """Return the different ones that say something, in a fixed order."""
    found = {json.dumps(value, sort_keys=True): value for value in values if value}
    return [found[key] for key in sorted(found)]


def _packages(record: RunRecord) -> dict[str, str]:
    return dict(record.environment.get("packages", {}))


def _software(record: RunRecord) -> dict[str, str]:
    packages = {name: version for name, version in _packages(record).items() if name != "lungzoo"}
    return {**_chosen(record, "python"), **packages}


def _chosen(record: RunRecord, *keys: str) -> dict[str, Any]:
    return {key: record.environment[key] for key in keys if record.environment.get(key)}


def _revision(plan: SuitePlan) -> int | None:
    """The revision is part of every fingerprint, so this code's own shows whether the runs have it."""
    dataset = plan.dataset["fingerprint"]
    configs = [ExperimentConfig.model_validate(run.config) for run in plan.runs]
    same = all(
        config.fingerprint(dataset) == run.fingerprint for config, run in zip(configs, plan.runs, strict=True)
    )  # fmt: skip
    return RESULTS_REVISION if same else None


def _notes(found: dict[str, Any], finished: bool) -> list[str]:
    notes = []
    if len(found["lungzoo"]) > 1 or len(found["git_commits"]) > 1:
        versions = ", ".join([*found["lungzoo"], *(commit[:12] for commit in found["git_commits"])])
        notes.append(f"The runs come from several versions of the code: {versions}.")
    if any(commit.endswith(CHANGED) for commit in found["git_commits"]):
        notes.append("The code of some runs had changes that no commit holds.")
    if finished and found["results_revision"] is None:
        notes.append(
            "This code would give the runs other fingerprints: another revision of it, or other defaults, made them."
        )
    return notes
