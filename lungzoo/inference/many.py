"""Several scans, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from lungzoo.errors import DatasetError, StorageError, UsageError
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
        DatasetError: scans cannot be used, do not fit the memory, or their files cannot be made; raised at the end,
            naming all of them.
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
        except StorageError as error:
            if faults:
                raise StorageError("\n".join([str(error), "Before that:", *faults])) from error
            raise
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
    with memory_named(), show() as progress:
        result = predict_scan(plan.checked_scan, predictors, settings, progress)
    try:
        plan.write(result)
    except DatasetError:
        raise
    except UsageError as error:  # the file has appeared meanwhile
        raise DatasetError(f"{plan.scan.source}: {error}") from error
    done(plan, result)
