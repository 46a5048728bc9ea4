"""The results in benchmarks/results: whole, of suites that ship, and with the figures that their CSV gives."""

import csv
import re
import shutil
from pathlib import Path

import pytest

from lungzoo.metrics.contract import METRICS
from lungzoo.suites.report.publishing.page import page
from lungzoo.suites.report.publishing.published import faults, published_folders, read_meta

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
FOLDERS = published_folders(RESULTS)
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@each_folder
def test_everything_is_there_and_agrees(folder: Path) -> None:
    assert faults(folder) == []
    assert page(read_meta(folder)) == (folder / "README.md").read_text(encoding="utf-8")


@each_folder
def test_what_is_printed_is_the_mean_of_the_csv(folder: Path) -> None:
    """Read off the page, and worked out without the code that wrote it."""
    metric = METRICS.get(read_meta(folder)["primary_metric"])
    heading = f"Test {metric.title} [95% CI]"
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == "lesion"]
    lines = [line for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    shown = [dict(zip(cells[0], row, strict=True)) for row in cells[2:] if len(row) == len(cells[0])]
    assert {row["Arm"].replace("\\|", "|").removesuffix(" ★") for row in shown} == {row["arm"] for row in rows}
    for row in shown:
        own = [each for each in rows if each["arm"] == row["Arm"].replace("\\|", "|").removesuffix(" ★")]
        weights = [int(each[f"{metric.name}_cases"]) for each in own]
        total = sum(float(each[metric.name]) * weight for each, weight in zip(own, weights, strict=True))
        assert float(row[heading].split()[0]) == pytest.approx(total / sum(weights), abs=0.51 * 10**-metric.digits)


@each_folder
@pytest.mark.parametrize("name", ["results.csv", "meta.json"])
def test_a_figure_that_is_changed_is_caught(folder: Path, name: str, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    text = (copy / name).read_text(encoding="utf-8")
    place = r'("mean": 0\.)(\d)' if name == "meta.json" else r"(\n[^\n]*?,lesion,[^\n]*?,0\.)(\d)"
    changed = re.sub(place, lambda found: found[1] + str((int(found[2]) + 1) % 10), text, count=1)
    assert changed != text
    (copy / name).write_text(changed, encoding="utf-8")
    assert faults(copy)
