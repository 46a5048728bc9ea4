"""The recorded facts."""

from __future__ import annotations

import json

import keras
import pytest

from lungzoo.encoders import ENCODERS, facts

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="multiply-adds are counted on TensorFlow"
)


def test_facts_are_of_the_registered_encoders():
    assert sorted(json.loads(facts.PATH.read_text(encoding="utf-8"))) == ENCODERS.names()


def test_recorded_facts_are_what_is_measured():
    for name in ("cnn", "mobilenetv2"):
        assert facts.measure(ENCODERS.get(name)) == facts.recorded(name)


def test_an_encoder_of_another_package_has_none():
    assert facts.recorded("somebody_elses") is None


def test_facts_can_be_written_in_part(tmp_path, monkeypatch):
    path = tmp_path / "facts.json"
    monkeypatch.setattr(facts, "PATH", path)
    facts._all.cache_clear()
    seen = []
    try:
        facts.write_facts(["cnn"], lambda name, fact: seen.append((name, fact)))
        assert json.loads(path.read_text()) == {"cnn": {"params": seen[0][1].params, "gmacs": seen[0][1].gmacs}}
    finally:
        monkeypatch.undo()
        facts._all.cache_clear()
