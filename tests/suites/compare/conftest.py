"""Two suites with a store each, and a way to ask for their differences."""

from types import SimpleNamespace

import pytest

from lungzoo.errors import UsageError
from lungzoo.suites.compare.differences import compare_names

SCRATCH, FROZEN = "unet_mobilenetv2 / scratch", "unet_mobilenetv2 / imagenet-frozen"
DICE = [0.2, 0.4, 0.6, 0.5, 0.3, 0.7, 0.45, 0.55]


@pytest.fixture
def other(study, tmp_path):
    """A second suite, with a store of its own, whose runs started later."""

    class Later(type(study)):
        def finish(self, *arguments, **changes):
            return super().finish(*arguments, **{"started": "later", **changes})

    return Later(type(study.tracker)(tmp_path))


@pytest.fixture
def ask(study, other):
    """`quick` is the first suite, `lidc-transfer-v1` the second, and the runs of both are found by fingerprint."""
    records = study.tracker.records, other.tracker.records

    def find_run(run):
        found = [name for each in records for name in each if name.startswith(run)]
        if not found:
            raise UsageError(f"No run '{run}'.")
        return found[0]

    def owner(run):
        return next(each for each in (study, other) if run in each.tracker.records)

    def opened(name):
        of = other if name == "lidc-transfer-v1" else study
        return SimpleNamespace(
            uri="sqlite:///mlflow.db",
            last_plan=lambda: of.suite if of.runs else None,
            find=of.tracker.find,
            artifacts=of.tracker.artifacts,
            find_run=find_run,
            run_record=lambda run: owner(run).tracker.records[run],
            of_run=lambda run: owner(run).tracker,
        )

    return lambda first, second, metric=None: compare_names(first, second, opened, metric, draws=200)


def two_runs(study, other, cases, **changes):
    """One run in each suite; the second is worse by 0.1 in every case, and has the changes."""
    study.finish(study.plan(), cases(DICE))
    other.finish(other.plan(), cases([value - 0.1 for value in DICE]), **changes)
