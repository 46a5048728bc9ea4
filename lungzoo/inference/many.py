"""Several scans, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from lungzoo.errors import DatasetError
from lungzoo.events import Progress
from lungzoo.inference.batches import MemoryRanOut, memory_named
from lungzoo.inference.outputs import Plan
from lungzoo.inference.predict import Settings, predict_scan
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.result import Result

Show = Callable[[], AbstractContextManager[Progress]]


def predict_all(
    plans: Sequence[Plan],
    predictors: Sequence[Predictor],
    settings: Settings,
    show: Show,
    done: Callable[[Plan, Result], None],
) -> None:
    """Predict scans and write their files; a scan that cannot be used does not keep the others from it.

    Args:
        plans: the scans, and what is made of each.
        predictors: see `predict_scan`.
        settings: how.
        show: gives what is told how far a scan is.
        done: is called when the files of a scan are written.

    Raises:
        DatasetError: scans cannot be used, or do not fit the memory; raised at the end, naming all of them.
        MemoryRanOut: the only scan does not fit.
        StorageError: a file cannot be written.
    """
    faults: list[str] = []
    for plan in plans:
        try:
            _predict(plan, predictors, settings, show, done)
        except (DatasetError, MemoryRanOut) as error:
            if len(plans) == 1:
                raise
            faults.append(f"  {plan.scan.source}: {error}" if isinstance(error, MemoryRanOut) else f"  {error}")
    if faults:
        others = "; the others are written" if len(faults) < len(plans) else ""
        raise DatasetError(f"{len(faults)} of {len(plans)} scans could not be predicted{others}.\n" + "\n".join(faults))


def _predict(
    plan: Plan,
    predictors: Sequence[Predictor],
    settings: Settings,
    show: Show,
    done: Callable[[Plan, Result], None],
) -> None:
    """Predict one scan; its volume is gone before the next is read."""
    with memory_named():
        with show() as progress:
            result = predict_scan(plan.scan, predictors, settings, progress)
        plan.write(result)
    done(plan, result)
