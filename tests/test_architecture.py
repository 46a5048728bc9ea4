"""Imports point down, heavy libraries load late, modules stay short, importing is silent.

The checks read the source, so an import inside a function or under `TYPE_CHECKING` counts like any other.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lungzoo"
MAX_LINES = 400

# Top to bottom. A module may import from its own room and from rooms further down, never from one beside it.
LAYERS = (
    ("__main__", "serialisation"),
    ("cli",),
    ("export", "explain"),
    ("suites", "search", "inference"),
    ("executors",),
    ("experiment",),
    ("checks",),
    ("training",),
    ("models", "evaluation", "tracking", "classifiers"),
    ("data", "encoders", "decoders", "losses", "metrics", "statistics", "weights"),
    ("registry", "config", "content", "events", "locks", "atomic", "quiet"),
    ("schema",),
    ("errors",),
)
LEVEL = {room: len(LAYERS) - depth for depth, rooms in enumerate(LAYERS) for room in rooms}

# Third-party libraries with one way in.
SOLE_IMPORTER = {"mlflow": "tracking/mlflow_*.py", "keras_tuner": "search/tune.py"}

HEAVY = ("tensorflow", "keras", "mlflow", "keras_tuner", "segmentation_models")
LIGHT_PACKAGES = ("encoders", "decoders", "losses", "data.readers", "classifiers.kinds")
LIGHT_MODULES = ("models.zoo", "models.transfer", "config", "content", "events", "registry", "errors")


def source_files(root: Path = PACKAGE) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "_content" not in path.parts)


def module_name(path: Path, root: Path = PACKAGE) -> str:
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for everything the source imports, anywhere in it.

    `from a import b` yields `a.b`: whether b is a module or a name in one, the room is the same.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name != "lungzoo" or alias.asname:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lungzoo":
            yield node.lineno, f"lungzoo.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and _call_name(node) in ("import_module", "__import__"):
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield node.lineno, target.value


def _call_name(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def layer_faults(source: str, module: str, is_package: bool = False) -> list[str]:
    """Say every import of `source` that does not point down."""
    parts = module.split(".")
    if len(parts) == 1:
        return []  # lungzoo/__init__.py, the public face
    room = parts[1]
    if room not in LEVEL:
        return [f"{module} is in no known room; give '{room}' a layer"]
    faults = []
    for line, name in imported_names(source, module, is_package):
        target = name.split(".")
        if target[0] != "lungzoo" or name == "lungzoo.__version__":
            continue
        other = target[1] if len(target) > 1 else ""
        if other not in LEVEL:
            faults.append(f"{module}:{line} imports '{name}', which is in no known room")
        elif other != room and LEVEL[other] >= LEVEL[room]:
            side = "beside" if LEVEL[other] == LEVEL[room] else "above"
            faults.append(f"{module}:{line} imports '{name}', {side} it")
    return faults


def sole_importer_faults(source: str, module: str, relative: str) -> list[str]:
    faults = []
    for line, name in imported_names(source, module):
        owner = SOLE_IMPORTER.get(name.split(".")[0])
        if owner is not None and not fnmatch(relative, owner):
            faults.append(f"{relative}:{line} imports {name}; only {owner} may")
    return faults


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds this checkout first."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


def modules_under(*packages: str) -> list[str]:
    names = [module_name(path) for path in source_files()]
    roots = [f"lungzoo.{package}" for package in packages]
    return [name for name in names if any(name == root or name.startswith(f"{root}.") for root in roots)]


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_imports_point_down(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert layer_faults(source, module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_mlflow_and_keras_tuner_have_one_way_in(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    assert sole_importer_faults(path.read_text(encoding="utf-8"), module_name(path), relative) == []


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_modules_stay_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path.relative_to(ROOT)} has {lines} lines; ask what the second idea is"


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("lungzoo.data.splits.split", "from lungzoo.models import zoo", "imports 'lungzoo.models.zoo', above it"),
        (
            "lungzoo.data.splits.split",
            "import lungzoo.losses.dice_ce",
            "imports 'lungzoo.losses.dice_ce', beside it",
        ),
        ("lungzoo.data.splits.split", "from ...training import loop", "imports 'lungzoo.training.loop', above it"),
        ("lungzoo.config", "from lungzoo.registry import Registry", "beside it"),
        ("lungzoo.models.zoo", "from lungzoo import experiment", "above it"),
        ("lungzoo.models.zoo", "def f():\n    from lungzoo.cli import main", "lungzoo.models.zoo:2 imports"),
        ("lungzoo.errors", "import importlib\nimportlib.import_module('lungzoo.config')", "above it"),
        (
            "lungzoo.tracking.base",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lungzoo.evaluation import score",
            "beside it",
        ),
        ("lungzoo.helpers", "", "is in no known room; give 'helpers' a layer"),
        ("lungzoo.cli.run", "from lungzoo import open_dataset", "which is in no known room"),
        (
            "lungzoo.cli.run",
            "import lungzoo\nlungzoo.build_model()",
            "'lungzoo.build_model', which is in no known",
        ),
        ("lungzoo.cli.run", "import lungzoo as zoo", "which is in no known room"),
    ],
)
def test_checker_catches_a_violation(module: str, source: str, fault: str) -> None:
    faults = layer_faults(source, module)
    assert len(faults) == 1
    assert fault in faults[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lungzoo", "from lungzoo.cli import main"),
        ("lungzoo.cli.bench", "from lungzoo.suites import grid\nfrom lungzoo import __version__"),
        ("lungzoo.data.splits.split", "from lungzoo.data.store import PreparedDataset\nfrom . import case"),
        ("lungzoo.cli", "import lungzoo\nprint(lungzoo.__version__)"),
        ("lungzoo.training.loop", "from lungzoo.config import TrainConfig\nimport numpy as np"),
    ],
)
def test_checker_lets_good_imports_pass(module: str, source: str) -> None:
    assert layer_faults(source, module) == []


@pytest.mark.parametrize(
    "source", ["import mlflow", "from mlflow import MlflowClient", "def f():\n    import mlflow.keras"]
)
def test_checker_catches_a_second_way_to_mlflow(source: str) -> None:
    assert "only tracking/mlflow_*.py may" in sole_importer_faults(source, "x", "cli/ui.py")[0]
    assert sole_importer_faults(source, "x", "tracking/mlflow_tracker.py") == []


REPORT_HEAVY = f"print([name for name in {HEAVY!r} if name in sys.modules])"


@pytest.mark.parametrize(
    "code",
    ["import lungzoo", "import lungzoo; dir(lungzoo)", "import lungzoo.cli"],
)
def test_importing_lungzoo_loads_nothing_heavy(code: str) -> None:
    result = run_python(f"import sys; {code}; {REPORT_HEAVY}")
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from lungzoo.cli import main
sys.argv = ["lungzoo", "--help"]
try:
    code = main()
except SystemExit as leaving:
    code = leaving.code
print("exit", code or 0)
{REPORT_HEAVY}
"""
    result = run_python(code)
    assert result.stdout.splitlines()[-2:] == ["exit 0", "[]"], result.stderr
    assert "bench" in result.stdout


def test_registry_rooms_load_nothing_heavy_and_print_nothing() -> None:
    modules = [name for name in modules_under(*LIGHT_PACKAGES, *LIGHT_MODULES) if ".layers." not in name]
    assert "lungzoo.data.readers" in modules
    code = f"import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n{REPORT_HEAVY}"
    result = run_python(code, *modules)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_nothing_prints_or_writes_the_environment_at_import() -> None:
    modules = [module_name(path) for path in source_files() if path.stem != "__main__"]
    code = """
import contextlib, importlib, os, sys
for name in ("tensorflow", "keras", "mlflow", "matplotlib"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)  # what these do to the environment is not ours
before = dict(os.environ)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = {key for key in {*before, *os.environ} if before.get(key) != os.environ.get(key)}
print("changed", sorted(changed))
"""
    result = run_python(code, *modules)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "changed []\n"
