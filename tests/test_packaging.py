"""The wheel: what is in it, and that it works installed, away from the checkout.

The new environment borrows the dependencies of the running one through a .pth file, which comes after its own
packages; .pth files of the running one, such as that of an editable install, are not read.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "lungzoo", "benchmarks", "tuning")
SUITES = ("quick", "lidc-transfer-v1")

# A manifest of published weights; its own text serves as the file too, which the hash then denies.
STAND_IN = f"""name = "stand-in"
title = "Only here to be packed"
file = "stand-in.npz"
sha256 = "{"0" * 64}"
size_bytes = 1
model = {{name = "cnn_scratch"}}
"""


def project_version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    return version


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must not see the checkout; fails the test with its output."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {"LUNGZOO_CACHE": str(cwd / "cache"), "COLUMNS": "200", "NO_COLOR": "1"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


def has_build_backend() -> bool:
    """True if the running environment has the setuptools that pyproject.toml asks for."""
    try:
        major = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return major >= 77


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves folders beside the sources and picks up stale ones."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    for suffix in (".toml", ".npz"):
        (source / "lungzoo" / "_content" / "weights" / f"stand-in{suffix}").write_text(STAND_IN)
    isolation = ["--no-isolation"] if has_build_backend() else []  # otherwise build fetches setuptools
    run(sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    paths = {"base": str(folder), "platbase": str(folder)}
    python = Path(sysconfig.get_path("scripts", "venv", paths)) / Path(sys.executable).name
    if not python.exists():
        python = python.with_name("python")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (packages / "zz_borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return python.parent


@pytest.fixture
def python(installed: Path) -> Path:
    return installed / "python"


def test_wheel_holds_the_package_and_its_content(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"lungzoo/_content/suites/{name}.toml" for name in SUITES} <= set(names)
    assert {"lungzoo/__init__.py", "lungzoo/py.typed", "lungzoo/data/readers/phantom.py"} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    stem = f"lungzoo-{project_version()}.dist-info"
    assert {name.split("/")[0] for name in names} == {"lungzoo", stem}
    kinds = {Path(name).suffix for name in names if name.startswith("lungzoo/")}
    assert kinds <= {".py", ".toml", ".npz", ".json", ".typed", ".css", ".j2", ".js"}
    assert not [name for name in names if "test" in name.split("/")[1]]


def test_wheel_holds_the_published_weights_and_a_stand_in(wheel: Path) -> None:
    """The stand-in is put into the copy that the wheel is built from, as there may be no published weights yet."""
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("lungzoo/_content/weights/")}
    folder = ROOT / "lungzoo" / "_content" / "weights"
    published = {path.name for path in folder.iterdir() if path.suffix in (".toml", ".npz")}
    assert packed == {f"lungzoo/_content/weights/{name}" for name in published | {"stand-in.toml", "stand-in.npz"}}


def test_wheel_holds_every_module(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert packed == {path.relative_to(ROOT).as_posix() for path in (ROOT / "lungzoo").rglob("*.py")}


def test_wheel_holds_what_the_html_report_is_made_of(wheel: Path) -> None:
    folder = "lungzoo/suites/report/formats/html"
    files = {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.suffix in (".j2", ".css", ".js")}
    assert len(files) == 3
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_installed_package_is_the_one_in_the_new_environment(python: Path, tmp_path: Path) -> None:
    code = "import lungzoo, lungzoo.content as c; print(lungzoo.__file__); print(c.content_dir('suites'))"
    for line in run(python, "-c", code, cwd=tmp_path).stdout.splitlines():
        place = Path(line).resolve()
        assert place.is_relative_to(python.parent.parent.resolve())
        assert not place.is_relative_to(ROOT)


def test_list_suites(installed: Path, tmp_path: Path) -> None:
    text = run(installed / "lungzoo", "list", "suites", cwd=tmp_path).stdout
    assert all(name in text for name in SUITES)


@pytest.mark.parametrize("kind", ["models", "encoders", "suites", "readers"])
def test_lists_as_json(installed: Path, tmp_path: Path, kind: str) -> None:
    entries = json.loads(run(installed / "lungzoo", "list", kind, "--json", cwd=tmp_path).stdout)
    assert entries
    assert all(entry["name"] and entry["description"] for entry in entries)


def test_published_weights_are_found_beside_their_manifest(installed: Path, tmp_path: Path) -> None:
    path = Path(run(installed / "lungzoo", "weights", "where", "stand-in", cwd=tmp_path).stdout.strip())
    assert path.parts[-4:] == ("lungzoo", "_content", "weights", "stand-in.npz")
    assert path.is_relative_to(installed.parent)


def test_dry_run_of_the_quick_suite(installed: Path, tmp_path: Path) -> None:
    text = run(installed / "lungzoo", "bench", "run", "quick", "--dry-run", cwd=tmp_path).stdout
    assert "cnn_scratch" in text
    assert not (tmp_path / "mlflow.db").exists()


def test_module_and_command_are_the_same(installed: Path, python: Path, tmp_path: Path) -> None:
    command = run(installed / "lungzoo", "--version", cwd=tmp_path).stdout
    module = run(python, "-m", "lungzoo", "--version", cwd=tmp_path).stdout
    assert command == module == f"lungzoo {project_version()}\n"


def test_version_is_in_one_place(python: Path, tmp_path: Path) -> None:
    code = "import lungzoo; print(lungzoo.__version__)"
    assert run(python, "-c", code, cwd=tmp_path).stdout.strip() == project_version()
    literal = re.compile(rf"""["']{re.escape(project_version())}["']|__version__\s*=""")
    files = [ROOT / "setup.py", *(ROOT / "lungzoo").rglob("*.py")]
    assert [str(path) for path in files if literal.search(path.read_text(encoding="utf-8"))] == []
