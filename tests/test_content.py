"""Finding the TOML files that ship beside the code."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from lungzoo import content
from lungzoo.content import cache_dir, content_dir, content_names, find_content
from lungzoo.errors import UnknownNameError, UsageError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended checkout with two suites; `lungzoo.content` believes it lives there."""
    suites = tmp_path / "benchmarks" / "suites"
    suites.mkdir(parents=True)
    for name in ("quick.toml", "lidc-v1.toml", "notes.md"):
        (suites / name).write_text("")
    package = tmp_path / "lungzoo"
    package.mkdir()
    monkeypatch.setattr(content, "__file__", str(package / "content.py"))
    return tmp_path


def test_a_checkout_has_content_beside_the_package(checkout: Path) -> None:
    assert content_dir("suites") == checkout / "benchmarks" / "suites"
    assert content_names("suites") == ["lidc-v1", "quick"]
    assert find_content("suites", "quick") == checkout / "benchmarks" / "suites" / "quick.toml"


def test_an_installed_package_has_content_inside(checkout: Path) -> None:
    inside = checkout / "lungzoo" / "_content" / "suites"
    inside.mkdir(parents=True)
    (inside / "quick.toml").write_text("")
    assert content_names("suites") == ["quick"]
    assert find_content("suites", "quick") == inside / "quick.toml"


@pytest.mark.parametrize("kind", ["spaces", "best", "weights"])
def test_a_missing_folder_has_no_names(checkout: Path, kind: str) -> None:
    assert content_names(kind) == []


def test_unknown_suite_names_the_nearest(checkout: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_content("suites", "quikc")
    assert str(caught.value) == "Unknown suite 'quikc'. Did you mean 'quick'? See: lungzoo list suites"


def test_unknown_search_space(checkout: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_content("spaces", "wide")
    assert str(caught.value) == "Unknown search space 'wide'. See: lungzoo list spaces"


@pytest.mark.parametrize("name", ["mine.toml", "folder/mine", "folder\\mine"])
def test_a_missing_path_is_said_to_be_one(checkout: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_content("suites", name)
    assert str(caught.value) == f"No suite file at '{name}'. Give a .toml file or a shipped name."


def test_a_path_is_taken_as_it_is(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    Path("mine.toml").write_text("")
    assert find_content("suites", "mine.toml") == Path("mine.toml")
    assert find_content("suites", "./mine.toml") == Path("mine.toml")


def test_a_folder_is_not_a_suite(checkout: Path) -> None:
    with pytest.raises(UsageError, match="No suite file at"):
        find_content("suites", str(checkout))


def test_published_weights_lie_in_the_package_in_a_checkout_too(checkout: Path) -> None:
    inside = checkout / "lungzoo" / "_content" / "weights"
    assert content_dir("weights") == inside
    inside.mkdir(parents=True)
    for name in ("small-v1.toml", "small-v1.npz", "README.md"):
        (inside / name).write_text("")
    assert content_names("weights") == ["small-v1"]
    assert find_content("weights", "small-v1") == inside / "small-v1.toml"
    assert content_names("suites") == ["lidc-v1", "quick"], "the rest still lies beside the package"
    with pytest.raises(UnknownNameError) as caught:
        find_content("weights", "smal-v1")
    assert str(caught.value) == (
        "Unknown published weights 'smal-v1'. Did you mean 'small-v1'? See: lungzoo weights list"
    )


def test_shipped_suites_carry_their_own_name() -> None:
    names = content_names("suites")
    assert {"quick", "lidc-transfer-v1"} <= set(names)
    for name in names:
        with find_content("suites", name).open("rb") as file:
            assert tomllib.load(file)["name"] == name


def test_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGZOO_CACHE", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c"
    assert not cache_dir().exists()


@pytest.mark.skipif(os.name == "nt", reason="the cache folder of Windows is elsewhere")
def test_cache_is_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUNGZOO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "lungzoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "lungzoo"
