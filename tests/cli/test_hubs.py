"""`--hub`, as every command takes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lungzoo.cli.hubs import use_hubs
from lungzoo.errors import ConfigError


def test_a_hub_that_is_no_folder_is_told_although_the_weights_may_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", "https://example.org/hub")
    with pytest.raises(ConfigError, match=r"The hub '.*nosuchhub' is no folder\. Allowed: a folder, http"):
        use_hubs([str(tmp_path), str(tmp_path / "nosuchhub")])
    assert os.environ["LUNGZOO_HUB"] == "https://example.org/hub"
    use_hubs([str(tmp_path), "http://127.0.0.1:9"])  # nobody is asked
    assert os.environ["LUNGZOO_HUB"] == f"{tmp_path},http://127.0.0.1:9,https://example.org/hub"
