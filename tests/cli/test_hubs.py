"""`--hub`, as every command takes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lungzoo.cli.hubs import use_hubs
from lungzoo.errors import ConfigError
from lungzoo.weights.sources import FolderSource, WebSource, configured


def test_a_hub_that_is_no_folder_is_told_although_the_weights_may_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUNGZOO_HUB", "https://example.org/hub")
    with pytest.raises(ConfigError, match=r"The hub '.*nosuchhub' is no folder\. Allowed: a folder, http"):
        use_hubs([str(tmp_path), str(tmp_path / "nosuchhub")])
    assert os.environ["LUNGZOO_HUB"] == "https://example.org/hub"
    use_hubs([str(tmp_path), "http://127.0.0.1:9"])  # nobody is asked
    assert os.environ["LUNGZOO_HUB"] == f"{tmp_path},http://127.0.0.1:9,https://example.org/hub"


@pytest.mark.parametrize("before", ["", "https://example.org/hub\n", "{folder}/My Hub, old"])
def test_folders_with_spaces_and_commas_stay_whole(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("My Hub", "mine, and ours", 'a "good", one')]
    for folder in (*folders, tmp_path / "My Hub, old"):
        folder.mkdir()
    monkeypatch.setenv("LUNGZOO_HUB", before.format(folder=tmp_path))
    last = configured()
    use_hubs([*map(str, folders), "http://127.0.0.1:9"])
    assert configured() == [*map(FolderSource, folders), WebSource("http://127.0.0.1:9"), *last]
