"""One registry class: filling, looking up, and what goes wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lungzoo.errors import LungzooError, UnknownNameError
from lungzoo.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package with no modules yet; forgotten afterwards."""
    folder = tmp_path / "lungzoo_test_things"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from lungzoo.registry import Registry\n"
        "THINGS = Registry('thing', 'lungzoo_test_things', see='lungzoo list things')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "lungzoo_test_things"]:
        del sys.modules[name]


def things() -> Registry[Any]:
    registry: Registry[Any] = importlib.import_module("lungzoo_test_things").THINGS
    return registry


def write_module(package: Path, name: str, body: str) -> None:
    (package / f"{name}.py").write_text(f"from lungzoo_test_things import THINGS\n{body}\n")


def plug_in(monkeypatch: pytest.MonkeyPatch, **points: Any) -> list[str]:
    """Pretend that a package offers these entry points; returns the groups that were asked for."""
    asked: list[str] = []

    def entry_points(group: str) -> list[Any]:
        asked.append(group)
        return [
            SimpleNamespace(name=n, value="rings:x", load=load, dist=SimpleNamespace(name="rings"))
            for n, load in points.items()
        ]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return asked


def test_fills_itself_from_the_modules_of_its_package(package: Path) -> None:
    write_module(package, "red", "@THINGS.register('red')\ndef red(): return 'red'")
    write_module(package, "blue", "THINGS.add('blue', 'sky')\nTHINGS.add('black', 'night')")
    assert "lungzoo_test_things.red" not in sys.modules
    assert things().names() == ["black", "blue", "red"]
    assert things().names("bl*") == ["black", "blue"]
    assert list(things().items())[:2] == [("black", "night"), ("blue", "sky")]
    assert things().get("red")() == "red"
    assert "red" in things()
    assert "green" not in things()
    assert 3 not in things()


def test_register_gives_its_subject_back() -> None:
    registry: Registry[Any] = Registry("thing", "lungzoo_test_things")

    @registry.register("one")
    def one() -> int:
        return 1

    assert one() == 1


def test_unknown_name_names_the_nearest(package: Path) -> None:
    write_module(package, "red", "THINGS.add('resnet50', 1)")
    with pytest.raises(UnknownNameError) as caught:
        things().get("resnet5O")
    assert str(caught.value) == "Unknown thing 'resnet5O'. Did you mean 'resnet50'? See: lungzoo list things"


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("thing", "lungzoo_test_things")
    registry.add("one", 1)
    with pytest.raises(LungzooError) as caught:
        registry.add("one", 2)
    assert str(caught.value) == "The thing 'one' is registered twice. Names must be unique."


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("encoder", "lungzoo.encoders"),
        ("loss", "lungzoo.losses"),
        ("reader", "lungzoo.readers"),
        ("transfer recipe", "lungzoo.transfer_recipes"),
    ],
)
def test_entry_point_group_is_the_plural(kind: str, group: str) -> None:
    assert Registry[Any](kind, "x").group == group


def test_other_packages_add_entries(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(package, "red", "THINGS.add('red', 1)")
    asked = plug_in(monkeypatch, ring=lambda: "gold")
    assert things().get("ring") == "gold"
    assert things().names() == ["red", "ring"]
    assert asked == ["lungzoo.things"]


def test_a_plugin_that_does_not_load_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise ImportError("No module named 'mordor'")

    plug_in(monkeypatch, ring=load)
    for _ in range(2):  # a second look must not find a half-filled registry
        with pytest.raises(LungzooError) as caught:
            things().names()
        assert str(caught.value) == (
            "The thing 'ring' of the installed package 'rings' does not load: No module named 'mordor'. "
            "Update or uninstall that package."
        )


def test_a_plugin_cannot_take_a_name_that_is_ours(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(package, "red", "THINGS.add('red', 1)")
    plug_in(monkeypatch, red=lambda: 2)
    with pytest.raises(LungzooError, match=r"'red' of the installed package 'rings'.*registered twice"):
        things().get("red")


def test_a_module_that_fails_fails_every_look(package: Path) -> None:
    write_module(package, "blue", "THINGS.add('blue', 1)")
    write_module(package, "broken", "raise RuntimeError('out of paint')")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of paint"):
            things().get("red")
