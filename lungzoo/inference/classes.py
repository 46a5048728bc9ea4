"""What class a lesion is of: what label heads say of its slices, and second stages of the lesion itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.evaluation.predict import shown
from lungzoo.inference.ensemble import labels_of
from lungzoo.inference.lesions import Box
from lungzoo.inference.predictor import Predictor, SliceAnswer
from lungzoo.inference.prepare import Prepared
from lungzoo.inference.volume import Volume


class LesionClasses:
    """The mean over the models that name classes.

    Args:
        predictors: the models.
        volume: the scan.

    Raises:
        UsageError: they tell different classes apart.
        DatasetError: the scan lacks what the preprocessing of a model with a second stage needs.
    """

    def __init__(self, predictors: Sequence[Predictor], volume: Volume) -> None:
        self.labels = labels_of(predictors)
        self._spacing, self._rows = volume.spacing_mm[1:], {int(z): row for row, z in enumerate(volume.z)}
        self._heads = sum(bool(each.labels) for each in predictors)
        self._said: dict[int, np.ndarray] = {}
        self.prepared = tuple(each.prepare(volume) if each.second else None for each in predictors)
        """Of each model with a second stage the scan as it takes it, for the network too: its steps are taken once."""
        pairs = zip(predictors, self.prepared, strict=True)
        self._seconds = [(each.second, prepared) for each, prepared in pairs if each.second and prepared]

    def note(self, answer: SliceAnswer) -> None:
        """Remember what the label heads say of a slice."""
        if answer.labels is not None:
            self._said[answer.row] = answer.labels

    def of_slice(self, z: int, numbers: np.ndarray, lesions: list[tuple[int, Box]]) -> np.ndarray | None:
        """Return the probabilities of the classes of the lesions in a slice; see `measure_lesions`."""
        row = self._rows[z]
        found = [self._of_second(*second, row, numbers, lesions) for second in self._seconds]
        if row in self._said:
            found += [np.tile(self._said[row], (len(lesions), 1))] * self._heads
        return np.mean(found, axis=0) if found else None

    def _of_second(
        self, second: SecondStage, prepared: Prepared, row: int, numbers: np.ndarray, lesions: list[tuple[int, Box]]
    ) -> np.ndarray:
        # As `evaluate.predicted` gives them to the second stage when it is trained and tested.
        image, source = shown(prepared.read(np.array([row]))), prepared.source
        if source.regrids:
            image = np.round(source.inverse(image.astype(np.float32), np.array([row]))).astype(np.uint8)
        reach = second.spec.reach(second.options)
        places = [(number, _widened(box, reach)) for number, box in lesions]
        images, masks = [image[0][place] for _, place in places], [numbers[place] == number for number, place in places]
        return second.probabilities(images, masks, [self._spacing] * len(lesions))


def _widened(box: Box, margin_px: int) -> Box:
    return tuple(slice(max(line.start - margin_px, 0), line.stop + margin_px) for line in box)
