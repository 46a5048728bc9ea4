"""`--hub`: where published weights are looked for beside those that ship."""

from __future__ import annotations

import os

import typer

HUB_OPTION = typer.Option(
    [], "--hub", help="Folder, http(s)://… or hf:ORG/NAME with further weights; repeatable. \\[env: LUNGZOO_HUB]"
)


def use_hubs(hubs: list[str]) -> None:
    """Put hubs before those of `LUNGZOO_HUB`, for this process and those that it starts."""
    if hubs:
        os.environ["LUNGZOO_HUB"] = ",".join([*hubs, os.environ.get("LUNGZOO_HUB", "")]).rstrip(",")
