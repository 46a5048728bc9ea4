"""Draws the figures of a report, those of a large suite on several processors."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lungzoo.suites.report.figures.contract import FIGURES, ReportFigure, figures_in_order
from lungzoo.suites.report.figures.style import save
from lungzoo.suites.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

Files = dict[str, bytes]
Drawn = list[tuple[ReportFigure, Files]]
# Records from which on a second process saves more than it costs.
_MANY = 100
_inherited: Report | None = None


@contextmanager
def drawing(report: Report, kinds: tuple[str, ...]) -> Iterator[Callable[[], Drawn]]:
    """Begin to draw every figure that has something to show, as files of the given kinds ("svg", "pdf", "png").

    Yields:
        A function that waits for the figures and returns them first to last. What the block does before it calls it
        is done meanwhile.
    """
    names = [figure.name for figure in figures_in_order()]
    if sum(len(arm.finished) for arm in report.results.arms) < _MANY or not _can_fork():
        yield lambda: _put_together([_draw(report, name, kinds) for name in names])
        return
    report.evidence  # noqa: B018  # read here, once, rather than in every process
    with _pool(report) as pool:
        waiting: list[Future[Files]] = [pool.submit(_draw_inherited, name, kinds) for name in names]
        yield lambda: _put_together([each.result() for each in waiting])


def _put_together(files: list[Files]) -> Drawn:
    return [(figure, found) for figure, found in zip(figures_in_order(), files, strict=True) if found]


def _draw(report: Report, name: str, kinds: tuple[str, ...]) -> Files:
    figure = FIGURES.get(name).draw(report)
    return {} if figure is None else {kind: save(figure, kind) for kind in kinds}


def _can_fork() -> bool:
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


@contextmanager
def _pool(report: Report) -> Iterator[ProcessPoolExecutor]:
    """Start processes that inherit the report as it lies in memory; they draw, and touch nothing else of this one."""
    global _inherited
    import matplotlib.figure  # noqa: F401  # once here, rather than once in each of them

    _inherited = report
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of threads, whose locks a fork may inherit closed; numerical libraries mind that.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            context = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=context) as pool:
                yield pool
    finally:
        _inherited = None


def _draw_inherited(name: str, kinds: tuple[str, ...]) -> Files:
    assert _inherited is not None
    return _draw(_inherited, name, kinds)
