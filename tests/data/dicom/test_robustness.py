"""Damaged files are refused or read, and never more: the script of `benchmarks/robustness`, cut short."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("robustness_dicom", ROOT / "benchmarks" / "robustness" / "dicom.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check(outcomes, count: int) -> None:
    assert outcomes.failures == []
    assert outcomes.counts["read"] + outcomes.counts["refused"] == count
    assert outcomes.counts["read"] > count / 20
    assert outcomes.counts["refused"] > count / 4
    assert outcomes.slowest_s < 5
    assert outcomes.growth_mib < 300


def test_two_hundred_damaged_files(script):
    check(script.run(200, seed=1), 200)


@pytest.mark.slow
def test_five_thousand_damaged_files(script):
    check(script.run(5000, seed=0), 5000)


def test_the_script_notices_a_crash_and_a_hang(script, tmp_path, monkeypatch):
    class Crashing:
        def __init__(self, folder):
            raise ValueError("oh")

    class Hanging:
        def __init__(self, folder):
            while True:
                pass

    monkeypatch.setattr(script, "LIMIT_S", 0.1)
    with script._limit_works():
        assert script._attempt(Crashing, tmp_path) == "ValueError: oh"
        assert script._attempt(Hanging, tmp_path) == "took more than 0.1 s"


def test_the_same_seed_damages_alike(script):
    data = bytes(range(256)) * 20
    for damage in script.DAMAGE.values():
        first, second = (damage(data, np.random.default_rng(3)) for _ in range(2))
        assert first == second
