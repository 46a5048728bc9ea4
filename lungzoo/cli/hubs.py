"""`--hub` and `--weights`: which weights are meant, and where published ones are looked for beside those that ship."""

from __future__ import annotations

import os

import typer

HUB_OPTION = typer.Option(
    [], "--hub", help="Folder, http(s)://… or hf:ORG/NAME with further weights; repeatable. \\[env: LUNGZOO_HUB]"
)


_SUITE = "suite:"


def use_hubs(hubs: list[str]) -> None:
    """Put hubs before those of `LUNGZOO_HUB`, for this process and those that it starts.

    Raises:
        ConfigError: one is neither an address nor a folder.
    """
    if hubs:
        from lungzoo.weights.sources import before_configured, source_of

        for hub in hubs:
            source_of(hub).check()
        os.environ["LUNGZOO_HUB"] = before_configured(hubs)


def named_weights(names: list[str]) -> list[str]:
    """Return names of single weights in the place of "suite:NAME/ARM", which means every finished run of an arm.

    Raises:
        UsageError: no such suite or arm, or no run of it is finished.
    """
    if not any(name.startswith(_SUITE) for name in names):
        return names
    from lungzoo.suites.compare.members import arm_weights
    from lungzoo.tracking.mlflow_tracker import MlflowTracker

    found: list[str] = []
    for name in names:
        found += arm_weights(name.removeprefix(_SUITE), MlflowTracker) if name.startswith(_SUITE) else [name]
    return found
