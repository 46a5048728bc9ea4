"""The page of models: what it shows, and what it misses."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROW = {"params": 12_345_678, "gmacs": 4.482, "ms": 60.4, "input": [256, 256, 1], "weights": ["imagenet"]}
MACHINE = {"cpu": "Abacus", "cores": 2, "python": "3.11", "tensorflow": "2.21", "keras": "3.15"}


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = script("docs/build.py")
    module.MEASURED = tmp_path / "models.json"
    return module


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    for name in ("TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "tensorflow" if name == "KERAS_BACKEND" else "3")
    module = script("benchmarks/speed/zoo.py")
    module.PATH = tmp_path / "models.json"
    return module


def test_page_shows_measurements_and_every_part(build: ModuleType) -> None:
    build.MEASURED.write_text(json.dumps({"machine": MACHINE, "models": {"unet_resnet50": ROW, "sm/unet_vgg16": ROW}}))
    page = build.models_page()
    for name in (*build.ENCODERS.names(), *build.DECODERS.names()):
        assert f"| `{name}` |" in page
    line = next(line for line in page.splitlines() if "| `resnet50` |" in line)
    assert "| 12.3 | 4.48 | 60 |" in line
    assert "| `sm/unet_vgg16` | imagenet | 12.3 | 4.48 | 60 |" in page
    assert "Abacus, 2 cores" in page


def test_page_does_without_measurements(build: ModuleType) -> None:
    assert "| – | – | – |" in build.models_page()


def test_unmeasured_parts_are_named(build: ModuleType, zoo: ModuleType) -> None:
    rows = dict.fromkeys(zoo.table_rows(), ROW)
    assert build.unmeasured(rows) == []
    del rows["cnn_scratch"], rows["fpn_resnet50"]
    assert build.unmeasured(rows) == ["cnn_scratch", "fpn_resnet50"]


def test_count_is_that_of_the_zoo_and_its_hidden_rows(build: ModuleType) -> None:
    own = [name for name in build.MODELS.names() if not name.startswith("sm/")]
    assert build.model_count() == len(own) + len(build.ARCHITECTURES) * len(build.BACKBONES)


def test_numbers_keep_three_digits(build: ModuleType) -> None:
    assert [build.number(value) for value in (0.072, 4.482, 12.34, 196.2)] == ["0.07", "4.48", "12.3", "196"]


def test_measurements_go_on_where_they_stopped(zoo: ModuleType) -> None:
    facts = zoo.read_facts(fresh=False)
    facts["models"]["unet_vgg16"] = ROW
    zoo.write_facts(facts)
    assert zoo.read_facts(fresh=False) == facts
    assert zoo.read_facts(fresh=True)["models"] == {}


def test_times_of_two_machines_are_not_mixed(zoo: ModuleType) -> None:
    zoo.write_facts({"machine": MACHINE, "models": {"unet_vgg16": ROW}})
    with pytest.raises(SystemExit, match="--fresh"):
        zoo.read_facts(fresh=False)


def test_calm_round_counts(zoo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    elapsed = iter([9.0] * 5 + [3.0, 50.0, 2.0, 3.0, 4.0] + [8.0] * 5)
    monkeypatch.setattr(zoo, "_elapsed_ms", lambda call: next(elapsed))
    assert zoo.call_ms(lambda: None) == 3.0


def test_faster_measurement_of_one_network_counts(zoo: ModuleType) -> None:
    assert zoo.faster(None, ROW) == ROW
    assert zoo.faster({**ROW, "ms": 9.0}, ROW)["ms"] == 9.0
    assert zoo.faster({**ROW, "ms": 9.0, "gmacs": 1.0}, ROW) == ROW
