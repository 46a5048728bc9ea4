"""Publishes a suite: results, provenance and table as files that need no tracking store."""

from __future__ import annotations

import json
from pathlib import Path

from lungzoo.config import ExperimentConfig
from lungzoo.errors import UsageError, storage_error
from lungzoo.suites.grid import expand, load_suite
from lungzoo.suites.report.formats.csv_file import to_csv
from lungzoo.suites.report.formats.json_file import as_values
from lungzoo.suites.report.formats.registry import write_file
from lungzoo.suites.report.publishing.page import page
from lungzoo.suites.report.publishing.published import META, PAGE, RESULTS, sha256_of
from lungzoo.suites.report.report import Report
from lungzoo.tracking.record import PlannedRun

_SHOWN = 10
# What a suite's file says of the whole; the rest of it is in the runs.
_SAID = ("name", "title", "description", "primary_metric")


def publish(report: Report, suite_file: Path, folder: Path) -> Path:
    """Write results.csv, meta.json and README.md into the suite's folder; equal records give equal bytes.

    Args:
        report: of the suite.
        suite_file: its TOML file.
        folder: of all published suites; the suite's own is made in it.

    Returns:
        The suite's folder.

    Raises:
        UsageError: a run is not finished, or the file is not the one whose runs were recorded.
        StorageError: the folder cannot be written.
    """
    _check_complete(report)
    _check_suite_file(report, suite_file)
    place = folder / report.plan.name
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("make the folder", error) from error
    write_file(to_csv(report), place / RESULTS)
    hashes = {"suite_sha256": sha256_of(suite_file), "results_sha256": sha256_of(place / RESULTS)}
    text = json.dumps(as_values(report) | hashes, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(text, place / META)
    write_file(page(json.loads(text)), place / PAGE)
    return place


def _check_complete(report: Report) -> None:
    missing = []
    for arm in report.results.arms:
        records = {record.fingerprint: record for record in arm.records}
        for run in arm.runs:
            record = records.get(run.fingerprint)
            if record is None or record.status != "finished":
                outcome = f"{record.status}: {record.reason}" if record else "pending"
                missing.append(f"  {run.arm}, {_which(run)}: {outcome}")
    if missing:
        more = [f"  … and {len(missing) - _SHOWN} more"] if len(missing) > _SHOWN else []
        raise UsageError(
            f"Suite '{report.plan.name}' is not complete; nothing was published. "
            f"{len(missing)} of {len(report.plan.runs)} run(s) are missing:\n"
            + "\n".join([*missing[:_SHOWN], *more])
            + "\nFinish it with `lungzoo bench run`, and publish it then."
        )


def _which(run: PlannedRun) -> str:
    data = run.config["data"]
    return f"seed {run.seed}" + (f", fold {data['fold']}" if data.get("folds") else "")


def _check_suite_file(report: Report, suite_file: Path) -> None:
    """A file that was edited after its runs must not be named as what they were."""
    suite = load_suite(str(suite_file))
    asked = {_identity(config) for config in expand(suite)}
    recorded = {_identity(ExperimentConfig.model_validate(run.config)) for run in report.plan.runs}
    if asked != recorded:
        raise UsageError(
            f"{suite_file} asks for other runs than the newest recorded ones of '{report.plan.name}': "
            f"{len(asked - recorded)} of its {len(asked)} are not among them. Nothing was published. "
            "Run the suite as it is now, or give the file that was run."
        )
    if changed := [key for key in _SAID if getattr(suite, key) != getattr(report.plan, key)]:
        raise UsageError(
            f"{suite_file} has another {' and another '.join(changed)} than the newest recorded run of "
            f"'{report.plan.name}'. Nothing was published. Call `lungzoo bench run` once more: what is finished is not "
            "trained again. Or give the file that was run."
        )


def _identity(config: ExperimentConfig) -> str:
    """The config without what is only pinned when it meets its dataset and store: hashes, and whole ids of runs."""
    values = config.model_dump(mode="json")
    values["data"]["split_sha256"] = values["transfer"]["sha256"] = None
    weights = values["transfer"]["weights"]
    values["transfer"]["weights"] = "run" if weights and weights.startswith("run:") else weights
    return json.dumps(values, sort_keys=True)
