"""The second stage of a model: a fitted classifier of the lesions that it marks, and how a weights file holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import ClassifierSpec, Fitted, lesion_of
from lungzoo.errors import LungzooError, WeightsMismatch
from lungzoo.schema import Option
from lungzoo.weights.file import read_weights
from lungzoo.weights.manifest import SecondStageEntry, WeightsManifest
from lungzoo.weights.names import SECOND_STAGE


@dataclass(frozen=True)
class SecondStage:
    """A fitted classifier of marked lesions.

    Args:
        spec: what kind of classifier.
        labels: names of the classes.
        options: all of its options.
        fitted: what it has learnt.
        shares: (classes,) how frequent the classes are among the training lesions: the answer where nothing is marked.
    """

    spec: ClassifierSpec
    labels: tuple[str, ...]
    options: Mapping[str, Option]
    fitted: Fitted
    shares: np.ndarray

    def probabilities(self, images: Iterable[np.ndarray], masks: Iterable[np.ndarray], spacings: Any) -> np.ndarray:
        """Return float32 (n, classes): of the largest component of each mask.

        Args:
            images, masks, spacings: see `describe`.
        """
        places, inputs = describe(self.spec, self.options, images, masks, spacings)
        chances = np.tile(self.shares.astype(np.float32), (len(spacings), 1))
        if len(places):
            chances[places] = self.fitted.probabilities(inputs)
        return chances

    def entry(self) -> SecondStageEntry:
        """Return what a manifest says of it; `arrays` is what goes into the weights file."""
        shares = tuple(self.shares.tolist())
        return SecondStageEntry(name=self.spec.name, labels=self.labels, options=dict(self.options), shares=shares)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what it has learnt, as numbers by name."""
        return self.fitted.arrays()


def describe(
    spec: ClassifierSpec,
    options: Mapping[str, Option],
    images: Iterable[np.ndarray],
    masks: Iterable[np.ndarray],
    spacings: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the masks in which something is marked, and what a classifier looks at of each.

    Args:
        spec, options: of the classifier.
        images: n times uint8 (H, W), what the model sees.
        masks: n times bool (H, W).
        spacings: float (n, 2), distance of the rows and of the columns in mm; NaN where it is unknown.
    """
    places, inputs = [], []
    for place, (image, mask, spacing) in enumerate(zip(images, masks, spacings, strict=True)):
        lesion = lesion_of(image, mask, spacing)
        if lesion is not None:
            places.append(place)
            inputs.append(spec.describe(lesion, options))
    return np.array(places, np.int64), np.stack(inputs) if inputs else np.zeros((0, 1), np.float32)


def load_second_stage(manifest: WeightsManifest, file: Path) -> SecondStage | None:
    """Return the second stage of weights; None where they have none.

    Args:
        manifest: of the weights.
        file: the weights file.

    Raises:
        UnknownNameError, ConfigError: this lungzoo has no such classifier, or none with such options.
        WeightsUnavailable: the file is not the one that the manifest describes.
        WeightsMismatch: the file does not hold that classifier.
    """
    entry = manifest.second_stage
    if entry is None:
        return None
    spec = CLASSIFIERS.get(entry.name)
    options = spec.checked_options(entry.options)
    arrays = read_weights(file, manifest.sha256, manifest.size_bytes)
    own = {name.removeprefix(SECOND_STAGE): array for name, array in arrays.items() if name.startswith(SECOND_STAGE)}
    try:
        fitted = spec.restore(own, len(entry.labels), options)
    except LungzooError as error:
        raise WeightsMismatch(_refusal(manifest, str(error))) from error
    except Exception as error:  # arrays that someone sent can make other libraries raise anything
        raise WeightsMismatch(_refusal(manifest, f"{type(error).__name__}, {error}.")) from error
    return SecondStage(spec, entry.labels, options, fitted, np.array(entry.shares))


def _refusal(manifest: WeightsManifest, reason: str) -> str:
    assert manifest.second_stage is not None
    return (
        f"{manifest.file} does not hold the second stage '{manifest.second_stage.name}' that the manifest of "
        f"'{manifest.name}' names: {reason} Fetch or publish it again."
    )
