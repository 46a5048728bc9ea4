"""Whole volumes lesion by lesion: what is found, at how many false positives, and how large what is missed was.

The lung fields bound where is looked, the model answers slice by slice, and a candidate is a component of the volume's
voxels from a low probability on; its score is its highest probability. What a hit is: `lungzoo.metrics.lesions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lungzoo.data.store import PreparedDataset
from lungzoo.errors import UsageError
from lungzoo.evaluation.curves import CANDIDATE_PROBABILITY
from lungzoo.inference.ensemble import mean_slices
from lungzoo.inference.inputs.dataset import read_volume
from lungzoo.inference.postprocess import find_lungs, within
from lungzoo.inference.predict import region_of
from lungzoo.inference.predictor import Passes, Predictor
from lungzoo.metrics.froc import Candidates, Froc, candidates_of, froc
from lungzoo.metrics.lesions import label_components
from lungzoo.statistics.bootstrap import Interval, patient_bootstrap

DIAMETERS_MM = (0.0, 6.0, 8.0, 15.0, 30.0, math.inf)
"""Ends of the groups of size: where guidelines for follow-up change, and where a nodule becomes a mass."""


@dataclass(frozen=True, eq=False)
class Detected:
    """One volume.

    Args:
        volume, patient: its names.
        candidates: their scores and the lesions that they hit.
        diameters_mm: (lesions,) of the ball with the lesion's volume; NaN where the spacing is unknown.
    """

    volume: str
    patient: str
    candidates: Candidates
    diameters_mm: np.ndarray

    def found(self, score: float) -> np.ndarray:
        """Return bool (lesions,): a candidate of at least this score hits it."""
        hits = self.candidates.lesion[self.candidates.score >= score]
        return np.isin(np.arange(self.candidates.lesions), hits)

    def false_positives(self, score: float) -> int:
        """Return how many candidates of at least this score hit nothing."""
        return int(np.count_nonzero((self.candidates.score >= score) & (self.candidates.lesion < 0)))


@dataclass(frozen=True)
class Detection:
    """A set of volumes.

    Args:
        curve: FROC over the volumes; its `score` is that of LUNA16.
        score_low, score_high: 95% interval of that score, patients resampled; NaN of fewer than two patients.
        threshold: score from which candidates count below.
        sensitivity: share of the lesions that are found.
        false_positives: per volume.
        by_size: sensitivity of the lesions from one diameter in mm up to another.
    """

    curve: Froc
    score_low: float
    score_high: float
    threshold: float
    sensitivity: Interval
    false_positives: Interval
    by_size: dict[tuple[float, float], Interval]


def detect(
    predictors: Sequence[Predictor], dataset: PreparedDataset, volume: str, passes: Passes, lungs: bool, readers: int
) -> Detected:
    """Find the candidates of one volume of a prepared dataset.

    Args:
        predictors: one model, or several whose probabilities are averaged.
        dataset: the opened dataset.
        volume: name of the volume.
        passes: how the models are run.
        lungs: look in the lung fields alone.
        readers: who make a lesion where several drew.

    Raises:
        UsageError: slices of the volume are missing.
    """
    rows = np.flatnonzero(dataset.cases["volume"].to_numpy(str) == volume)
    rows = rows[np.argsort(dataset.cases["z"].to_numpy()[rows], kind="stable")]
    scan = read_volume(dataset, volume)
    if len(rows) < scan.shape_zyx[0]:
        raise UsageError(
            f"'{dataset.name}' has {len(rows)} of the {scan.shape_zyx[0]} slices of '{volume}' and lesions "
            "are counted in whole volumes. Import it with all its slices."
        )
    reference = dataset.consensus(rows, readers) > 0
    field = find_lungs(scan.image, scan.spacing_mm) if lungs else None
    probability = np.zeros(scan.image.shape, np.float32)
    for answer in mean_slices(predictors, scan, region_of(field, scan.image.shape), passes):
        row = answer.row
        probability[row] = answer.probability if field is None else within(answer.probability, field[row])
    voxels = np.bincount(label_components(reference).ravel())[1:]
    diameters = np.cbrt(voxels * scan.voxel_mm3 * 6 / math.pi)
    candidates = candidates_of(probability, reference, CANDIDATE_PROBABILITY)
    return Detected(volume, str(dataset.cases["patient"].iloc[rows[0]]), candidates, diameters)


def summarise_detection(volumes: Sequence[Detected], threshold: float, draws: int = 2000, seed: int = 0) -> Detection:
    """Put volumes together.

    Args:
        volumes: one entry for each, also for those without candidates or lesions.
        threshold: score from which candidates count, such as that of the weights' masks.
        draws, seed: of the resampling of patients.

    Raises:
        UsageError: no volumes.
    """
    if not volumes:
        raise UsageError("There is no volume to look at. Received: none. Give a dataset with volumes.")
    patients = np.array([each.patient for each in volumes])
    found = np.concatenate([each.found(threshold) for each in volumes]).astype(float)
    owners = np.repeat(patients, [each.candidates.lesions for each in volumes])
    sizes = np.concatenate([each.diameters_mm for each in volumes])
    false = np.array([each.false_positives(threshold) for each in volumes], float)
    groups = pairwise(DIAMETERS_MM)
    low, high = _score_interval(volumes, patients, draws, seed)
    return Detection(
        froc([each.candidates for each in volumes], "volume"),
        low,
        high,
        threshold,
        patient_bootstrap(found, owners, draws, seed, limits=(0.0, 1.0)),
        patient_bootstrap(false, patients, draws, seed, limits=(0.0, math.inf)),
        {
            (start, end): patient_bootstrap(found[inside], owners[inside], draws, seed, limits=(0.0, 1.0))
            for start, end in groups
            if (inside := (sizes >= start) & (sizes < end)).any()
        },
    )


def _score_interval(volumes: Sequence[Detected], patients: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """Resample patients with all their volumes; percentiles of the score. Draws without a lesion do not count."""
    names = np.unique(patients)
    if len(names) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    of_patient = {name: [each.candidates for each in volumes if each.patient == name] for name in names.tolist()}
    scores = []
    for _ in range(draws):
        drawn = [scan for name in rng.choice(names, len(names)).tolist() for scan in of_patient[name]]
        scores.append(froc(drawn, "volume").score)
    known = np.array(scores)[~np.isnan(scores)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5]).tolist()
    return float(low), float(high)
