"""What a classifier of marked lesions promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lungzoo.errors import ConfigError, did_you_mean
from lungzoo.metrics.lesions import label_components
from lungzoo.schema import Option


@dataclass(frozen=True)
class Lesion:
    """A marked lesion in its slice.

    Args:
        image: float32 (H, W) in [0, 1].
        mask: bool (H, W), one connected component, not empty.
        spacing_mm: distance of the rows and of the columns; NaN where it is unknown.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing_mm: tuple[float, float]


@dataclass(frozen=True)
class Examples:
    """What a classifier learns from.

    Args:
        inputs: (n, …), what it looks at of each lesion.
        labels: int (n,), numbers of the classes.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Fitted(Protocol):
    """A classifier that has learnt."""

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (n, classes) that sum to 1."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `ClassifierSpec.restore` needs to have it again: finite numbers by name."""


@dataclass(frozen=True)
class ClassifierSpec:
    """A kind of classifier.

    Args:
        name: registry name.
        title: one line for people.
        options: settings with their defaults; numbers are positive.
        describe: function from a lesion and all options to what the classifier looks at, float32 of a fixed shape.
        fit: function (train, val, classes, options, seed); the validation examples, of which there may be none, choose
            when to stop.
        restore: function (arrays, classes, options): what `Fitted.arrays` returned, fitted with these options; raises
            LungzooError, or whatever damaged arrays lead to.
        reach: function of all options: how many pixels beyond the lesion's bounding box `describe` looks.
        choices: of options that are texts, what they may be.
        least: of options that are numbers, the smallest that will do, where it is more than the smallest positive one.
        most: of options that are numbers, the largest that will do; a file that someone sent can ask for any.
    """

    name: str
    title: str
    options: Mapping[str, Option]
    describe: Callable[[Lesion, Mapping[str, Option]], np.ndarray]
    fit: Callable[[Examples, Examples, int, Mapping[str, Option], int], Fitted]
    restore: Callable[[Mapping[str, np.ndarray], int, Mapping[str, Option]], Fitted]
    reach: Callable[[Mapping[str, Option]], int]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)

    def checked_options(self, given: Mapping[str, Option]) -> dict[str, Option]:
        """Return all options with their values; raises ConfigError for one that is unknown or does not fit."""
        for key, value in given.items():
            if key not in self.options:
                allowed = ", ".join(self.options)
                raise ConfigError(
                    f"Classifier '{self.name}' has no option '{key}'.{did_you_mean(key, self.options)} "
                    f"Allowed: {allowed}."
                )
            self._check_value(key, value)
        return {**self.options, **given}

    def _check_value(self, key: str, value: Option) -> None:
        default = self.options[key]
        if isinstance(default, str):
            wanted = f"one of {', '.join(self.choices[key])}"
            right = value in self.choices[key]
        else:
            kinds = (int, float) if isinstance(default, float) else (int,)
            wanted = "a positive number" if isinstance(default, float) else "a positive whole number"
            wanted += f", {self.least[key]} or more" if key in self.least else ""
            wanted += f", at most {self.most[key]}" if key in self.most else ""
            right = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            right = right and float(value) > 0 and float(value) >= self.least.get(key, 0)
            right = right and float(value) <= self.most.get(key, math.inf)
        if not right:
            raise ConfigError(f"Option '{key}' of classifier '{self.name}' must be {wanted}. Received: {value!r}")


def lesion_of(image: np.ndarray, mask: np.ndarray, spacing_mm: Any) -> Lesion | None:
    """Return the largest component of a mask as a lesion; None where the mask is empty.

    Args:
        image: uint8 (H, W).
        mask: bool (H, W); pixels that touch, diagonally too, belong together.
        spacing_mm: distance of the rows and of the columns; NaN where it is unknown.
    """
    parts = label_components(mask)
    if not parts.any():
        return None
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]))
    return Lesion(image.astype(np.float32) / 255, parts == largest, spacing)
