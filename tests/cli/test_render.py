"""The table on terminals of every width: whole figures, whole names, nothing interpreted."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from lungzoo.cli.render import print_table
from lungzoo.suites.report.columns import columns
from lungzoo.suites.report.table import ResultTable, Row
from lungzoo.tracking.record import SuitePlan

ARMS = (
    "unet_mobilenetv2 / imagenet-gradual",
    "unet_efficientnetb0 / imagenet-finetune",
    "cnn_scratch / scratch",
    "lr[/high]",
)


def row(number: int, arm: str) -> Row:
    means = {"dice": 0.8 - number / 10, "iou": 0.512, "precision": 0.623, "recall": 0.734, "false_positive_rate": 0.045}
    return Row(
        arm=arm,
        recipe="ImageNet, fine-tuned",
        status="finished",
        reason="",
        outcomes=("finished",),
        seeds=(0,),
        val_dice=0.845,
        metrics={name: {"mean": mean, "low": mean - 0.1, "high": mean + 0.1} for name, mean in means.items()},
        pooled={},
        letters="abc"[: number + 1],
        cost={"params": 12_340_000, "train_seconds": 7525.0, "peak_memory_mb": 11_100.0},
        selected=number == 0,
    )


def result_table(title: str = "A suite", arms: tuple[str, ...] = ARMS) -> ResultTable:
    skipped = Row(
        "vgg16 / [bold]x", "From scratch", "skipped", "no [weights]", ("skipped",), (), float("nan"), {}, {}, "", {}
    )
    rows = (*(row(number, arm) for number, arm in enumerate(arms)), skipped)
    return ResultTable(SuitePlan("s", title, "", "dice", {}, ()), rows, ("A line of protocol [/].",))


def printed(table: ResultTable, width: int, terminal: bool = True) -> str:
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("terminal", [True, False])
def test_names_and_figures_are_whole_at_every_width(width, terminal):
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed(result_table(), width, terminal))
    assert max(map(len, text.splitlines())) <= (width if terminal else 170)
    for number, arm in enumerate(ARMS):
        assert all(part in text for part in arm.split(" / "))
        assert f"{0.8 - number / 10:.3f} [{0.7 - number / 10:.3f}, {0.9 - number / 10:.3f}]" in text
    assert text.count("0.845") == len(ARMS)
    assert "Test Dice [95% CI]" in text
    assert "vgg16 / [bold]x: skipped: no [weights]" in text


@pytest.mark.parametrize("width", range(60, 175))
def test_what_is_shown_is_shown_in_full(width):
    table = result_table()
    text = printed(table, width)
    note = re.search(r"Narrow terminal: ([\w, \n]+?)\s+left\s+out", text)
    left_out = set(re.split(r",\s+", note[1])) if note else set()
    figures = {"IoU": "0.512", "Precision": "0.623", "Recall": "0.734", "FP": "0.045", "Params": "12.34 M"}
    figures |= {"Train": "2 h 05 m", "Memory": "11.1 GB"}
    for name, figure in figures.items():
        assert text.count(figure) == (0 if name in left_out else len(ARMS))
    order = sorted((column for column in columns(table) if column.rank), key=lambda column: -column.rank)
    assert left_out == {column.heading for column in order[: len(left_out)]}


def test_columns_go_before_names_wrap_and_names_wrap_before_blocks():
    table = result_table()
    wide, middle, narrow, narrowest = (printed(table, width) for width in (170, 150, 60, 48))
    assert "Narrow terminal" not in wide
    assert all(column.heading in wide for column in columns(table))
    assert "Narrow terminal: Train, Memory left out; see lungzoo bench report SUITE --to md" in middle
    assert ARMS[1] in middle
    assert re.search(r"unet_efficientnetb0 / +0.845 .*\nimagenet-finetune +\n", narrow)
    assert re.search(r"cnn_scratch / scratch? ", narrow)
    assert "  Test Dice [95% CI]  0.800 [0.700, 0.900]\n" in narrowest
    assert "IoU 0.512 · Precision 0.623 · Recall 0.734" in narrowest


def test_a_file_is_as_wide_as_its_table_whatever_the_terminal():
    assert printed(result_table(), 60, terminal=False) == printed(result_table(), 200, terminal=False)


def test_a_file_grows_with_long_names():
    text = printed(result_table(arms=("a" * 90,)), 60, terminal=False)
    assert "a" * 90 in text
    assert "11.1 GB" in text


@pytest.mark.parametrize("title", ["[/x]", "[red]A :fire: suite"])
@pytest.mark.parametrize("arms", [ARMS, ()])
@pytest.mark.parametrize("width", [60, 160])
def test_titles_are_never_markup(title, arms, width):
    assert title in printed(result_table(title, arms), width)
