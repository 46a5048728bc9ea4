"""The page of models: what it shows, and what it misses."""

import hashlib
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


@pytest.fixture
def readme(build: ModuleType, tmp_path: Path) -> Path:
    """A project that has nothing but a README and no published results."""
    build.ROOT, build.README, build.RESULTS = tmp_path, tmp_path / "README.md", tmp_path / "benchmarks" / "results"
    build.README.write_text("# A\n\n<!-- results -->\n<!-- /results -->\n\nMore.\n", encoding="utf-8")
    return tmp_path / "README.md"


@pytest.fixture
def published(build: ModuleType, readme: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published suite of one arm and one seed, small enough to be written out here."""
    folder = build.RESULTS / "quick"
    folder.mkdir(parents=True)
    figure = {"mean": 0.5, "low": 0.4, "high": 0.6, "cases": 7, "patients": 3, "seeds": 1, "over_seeds": False}
    row = {
        "arm": "a / b", "recipe": "B", "status": "finished", "reason": "", "outcomes": ["finished"], "seeds": [0],
        "val_dice": 0.625, "metrics": {"dice": figure}, "pooled": {}, "letters": "", "cost": {"params": 1e6},
        "selected": True,
    }  # fmt: skip
    results = (
        "arm,seed,fold,status,group,cases,dice,dice_cases,val_dice,params\na / b,0,,finished,lesion,7,0.5,7,0.625,1e6\n"
    )
    (folder / "results.csv").write_text(results)
    provenance = {
        "date": "2026-01-02", "lungzoo": ["0.1.0"], "git_commits": [], "metrics_version": 1, "results_revision": 1,
        "seeds": [0], "folds": 0, "splits": [], "software": [], "hardware": [], "notes": [],
    }  # fmt: skip
    meta = {
        "suite": "quick", "title": "Quick?", "description": "", "primary_metric": "dice", "protocol": ["Words."],
        "dataset": {"title": "D", "licence": "CC0-1.0", "fingerprint": "f"}, "remarks": [], "rows": [row],
        "comparison": None, "statistics": {"draws": 200}, "provenance": provenance,
        "results_sha256": hashlib.sha256(results.encode()).hexdigest(),
        "suite_sha256": hashlib.sha256((ROOT / "benchmarks/suites/quick.toml").read_bytes()).hexdigest(),
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "README.md").write_text("to be written")
    return folder


def test_published_tables_reach_their_page_and_the_readme(build: ModuleType, readme: Path, published: Path) -> None:
    pages = build.result_pages()
    assert list(pages) == [published / "README.md", readme]
    assert "| a / b ★ | B | 0.625 | 0.500 [0.400, 0.600] | 1.00 M |" in pages[published / "README.md"]
    head, tables, tail = pages[readme].partition("<!-- results -->")[0], *pages[readme].split("results -->")[1:]
    assert (head, tail) == ("# A\n\n", "\n\nMore.\n")
    assert "**[Quick?](benchmarks/results/quick/README.md)** D, 7 test cases of 3 patients, 1 seed(s)." in tables
    assert "| a / b ★ | 0.500 [0.400, 0.600] | 1.00 M |" in tables
    readme.write_text(pages[readme], encoding="utf-8")
    assert build.result_pages()[readme] == pages[readme]  # written once, it stays


def test_a_readme_without_published_results_stays_as_it_is(build: ModuleType, readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert build.result_pages() == {readme: text}
    readme.write_text(text.replace("<!-- /results -->", "old tables\n<!-- /results -->"), encoding="utf-8")
    assert build.result_pages() == {readme: text}
    readme.write_text("# A\n", encoding="utf-8")
    assert build.result_pages() == {readme: "# A\n"}


@pytest.mark.parametrize("text", ["# A\n", "<!-- /results -->\n<!-- results -->\n", "<!-- results -->\n"])
def test_a_readme_without_a_place_for_the_tables_is_refused(
    build: ModuleType, readme: Path, published: Path, text: str
) -> None:
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"Add two lines, in this order: <!-- results -->, <!-- /results -->"):
        build.result_pages()


def test_a_csv_that_disagrees_is_refused(build: ModuleType, published: Path) -> None:
    path = published / "results.csv"
    path.write_text(path.read_text().replace("lesion,7,0.5", "lesion,7,0.51"))
    with pytest.raises(SystemExit, match=r"dice of 'a / b' is 0\.51 by results\.csv and 0\.5 in meta\.json"):
        build.result_pages()


def test_a_table_that_was_changed_by_hand_fails_the_check(
    build: ModuleType, readme: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "reference_page", lambda models: "")
    monkeypatch.setattr(build, "models_page", lambda: "")
    monkeypatch.setattr(build, "unmeasured", lambda rows: [])
    build.REFERENCE, build.TABLES = build.ROOT / "reference.md", build.ROOT / "models.md"
    monkeypatch.setattr(sys, "argv", ["build.py"])
    build.main()
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    build.main()
    for page in (published / "README.md", readme):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("0.500", "0.900"), encoding="utf-8")
        with pytest.raises(SystemExit, match=r"README.md is out of date. Run: make docs"):
            build.main()
        page.write_text(text, encoding="utf-8")
