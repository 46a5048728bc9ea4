"""One explanation, from the scan to the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lungzoo.errors import UsageError
from lungzoo.events import Progress
from lungzoo.explain.contract import EXPLANATIONS, HeatMap, Subject
from lungzoo.explain.target import Place, Target, check_target, find_place
from lungzoo.inference.batches import memory_named
from lungzoo.inference.inputs import Input
from lungzoo.inference.predict import Settings, predict_scan
from lungzoo.inference.predictor import Predictor
from lungzoo.inference.result import Result
from lungzoo.schema import Frozen, parse


@dataclass(frozen=True)
class Explanation:
    """What came of explaining one slice.

    Args:
        result: the scan with its mask.
        place: the slice and the region.
        method: name of the method.
        heat: its map.
    """

    result: Result
    place: Place
    method: str
    heat: HeatMap

    @property
    def words(self) -> str:
        """What was explained, and how."""
        region = f": {self.place.words}" if EXPLANATIONS.get(self.method).needs_region else ""
        return f"{self.heat.details}{region}, slice {self.place.z}"


def checked_options(method: str, options: Mapping[str, Any]) -> Frozen:
    """Return a method's settings.

    Raises:
        UnknownNameError: no such method.
        ConfigError: an unknown key or a wrong value.
    """
    return parse(EXPLANATIONS.get(method).options, dict(options), f"Explanation '{method}'")


@memory_named()
def explain_scan(
    found: Input,
    predictors: Sequence[Predictor],
    method: str,
    options: Mapping[str, Any],
    target: Target,
    settings: Settings,
    progress: Progress = lambda done, total: None,
) -> Explanation:
    """Find the lesions of a scan, and explain one slice of it.

    Args:
        found: the scan.
        predictors: the models; of several the mask is that of their mean.
        method: name of the method.
        options: its settings that differ from the defaults.
        target: which slice and region.
        settings: how the scan is predicted.
        progress: is told how much of how much is done, first of the prediction, then of the map.

    Raises:
        UnknownNameError, ConfigError: see `checked_options`.
        DatasetError: the scan cannot be used.
        UsageError: there is nothing to explain there, or the method cannot explain the model.
        MemoryRanOut: the scan, or a single slice at once, does not fit the memory.
    """
    checked, chosen = checked_options(method, options), EXPLANATIONS.get(method)
    chosen.check(predictors, checked)  # before a volume is predicted in vain
    volume = found.read()
    check_target(volume, target)
    result = predict_scan(replace(found, load=lambda: volume), predictors, settings, progress)
    place = find_place(result, target)
    if chosen.needs_region and not place.region.any():
        where = f"slice {place.z}" if result.lesions else "any slice"
        other = ", another slice with --slice" if result.lesions else ""
        raise UsageError(
            f"No lesion is predicted in {where}, so there is nothing that '{method}' could explain. Name a place with "
            f"--at Z,Y,X{other}, or a lower --threshold."
        )
    subject = Subject(predictors, result.volume, place.row, place.region, settings.passes, progress)
    return Explanation(result, place, method, chosen.explain(subject, checked))
