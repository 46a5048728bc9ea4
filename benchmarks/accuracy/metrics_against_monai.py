"""Compare lungzoo's metrics with MONAI's on random masks and candidates: the largest difference of each.

MONAI answers in single precision, so differences of up to about 1e-6 are rounding. "hd95_mm (double)" takes the
percentile of MONAI's own distances in double precision.

MONAI needs PyTorch, so run it in an environment of its own; of lungzoo it needs only the metrics:

    python -m venv .monai && .monai/bin/pip install monai scipy
    PYTHONPATH=. .monai/bin/python benchmarks/accuracy/metrics_against_monai.py
"""

from __future__ import annotations

import argparse

import monai
import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_froc_curve_data,
    compute_froc_score,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from monai.metrics.utils import get_mask_edges, get_surface_distance

from lungzoo.metrics.contract import MaskPair, measure
from lungzoo.metrics.froc import FALSE_POSITIVE_RATES, Candidates, froc

SHAPES = ((24, 31), (9, 17, 14))


def main() -> None:
    """Print one line per number of dimensions and metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=500, help="pairs of masks per number of dimensions")
    arguments = parser.parse_args()
    print(f"MONAI {monai.__version__}, PyTorch {torch.__version__}, {arguments.pairs} pairs per line")
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        largest: dict[str, float] = {}
        for _ in range(arguments.pairs):
            reference, prediction = draw(rng, shape), draw(rng, shape)
            spacing_mm = tuple(rng.uniform(0.3, 5.0, len(shape)))
            theirs = by_monai(reference, prediction, spacing_mm)
            ours = measure(MaskPair(reference, prediction, spacing_mm))
            for name, value in theirs.items():
                largest[name] = max(largest.get(name, 0.0), abs(value - ours[name.split()[0]]) / max(1.0, value))
        for name, difference in largest.items():
            print(f"{len(shape)}D {name}: largest relative difference {difference:.1e}")
    differences = [
        abs(by_lungzoo - theirs) for by_lungzoo, theirs in (froc_scores(rng) for _ in range(arguments.pairs))
    ]
    print(f"FROC score: largest difference {max(differences):.1e}")


def by_monai(reference: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> dict[str, float]:
    """Return MONAI's answers under lungzoo's names."""
    y, y_pred = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (reference, prediction))
    options = {"include_background": True, "spacing": spacing_mm}
    answers = {
        "dice": compute_dice(y_pred, y),
        "iou": compute_iou(y_pred, y),
        "hd_mm": compute_hausdorff_distance(y_pred, y, **options),
        "hd95_mm": compute_hausdorff_distance(y_pred, y, percentile=95, **options),
        "assd_mm": compute_average_surface_distance(y_pred, y, symmetric=True, **options),
        "nsd": compute_surface_dice(y_pred, y, class_thresholds=[2.0], **options),
    }
    return {name: float(value) for name, value in answers.items()} | {
        "hd95_mm (double)": hd95_in_double_precision(y_pred[0, 0], y[0, 0], spacing_mm)
    }


def hd95_in_double_precision(prediction: torch.Tensor, reference: torch.Tensor, spacing_mm: tuple[float, ...]) -> float:
    """Return the larger 95th percentile of MONAI's directed distances."""
    edges, others, *_ = get_mask_edges(prediction, reference, crop=True)
    directed = (get_surface_distance(*pair, spacing=spacing_mm) for pair in ((edges, others), (others, edges)))
    return max(float(np.quantile(np.asarray(distances, np.float64), 0.95)) for distances in directed)


def froc_scores(rng: np.random.Generator) -> tuple[float, float]:
    """Return lungzoo's and MONAI's score of random candidates, in 5 to 40 scans with up to three lesions each.

    MONAI leaves out the lowest score of all, so it is given one more false positive below all others.
    """
    scans, true, false = [Candidates(np.array([0.5, 0.4]), np.array([0, -1]), 1)], [0.5], [0.4, -1.0]
    for lesions in rng.integers(0, 4, rng.integers(4, 40)).tolist():
        number = int(rng.integers(0, 12))
        score, lesion = rng.random(number), rng.integers(-1, lesions, number)
        scans.append(Candidates(score, lesion, lesions))
        false += score[lesion < 0].tolist()
        true += [score[lesion == found].max() for found in set(lesion[lesion >= 0].tolist())]
    ours = froc(scans, "volume")
    rates, found = compute_froc_curve_data(np.array(false), np.array(true), ours.lesions, ours.scans)
    return ours.score, float(compute_froc_score(rates, found, FALSE_POSITIVE_RATES))


def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return a random mask of boxes and specks that may touch the image's edge, never empty."""
    mask = rng.random(shape) < rng.choice([0, 0.01])
    for _ in range(rng.integers(1, 4)):
        corner = [rng.integers(0, size) for size in shape]
        mask[tuple(slice(start, start + rng.integers(1, 9)) for start in corner)] = True
    return mask


if __name__ == "__main__":
    main()
