"""How often do the intervals of an AUC hold the truth, where patients have several slices?

Scores are normal: one part is the patient's own, one the slice's, in equal shares; malignant patients score one
standard deviation higher, so that the AUC is Φ(1/√2) = 0.760. Each line compares DeLong's interval, which takes slices
for independent, with the one that resamples patients.

    python benchmarks/accuracy/auc_coverage.py
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm

from lungzoo.metrics.roc import roc_area
from lungzoo.statistics.ranking import auc_draws, ends_of, resamples

TRUTH = float(norm.cdf(1 / np.sqrt(2)))


def simulate(patients: int, slices: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores and patients of the slices of one test set."""
    owner = np.repeat(np.arange(patients), slices)
    label = owner % 2
    parts = rng.normal(size=patients)[owner], rng.normal(size=len(owner))
    return label, sum(parts) / np.sqrt(2) + label, owner


def main() -> None:
    """Print a line per number of patients and slices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    print("| patients | slices of each | DeLong | patients resampled |\n| --- | --- | --- | --- |")
    for patients, slices in ((20, 1), (20, 3), (56, 1), (56, 3), (200, 3)):
        rng = np.random.default_rng([patients, slices])
        held = np.zeros(2)
        for _ in range(options.repeats):
            label, score, owner = simulate(patients, slices, rng)
            area = roc_area(label == 1, score)
            chances = np.stack([-score, score], axis=-1)[None]
            low, high = ends_of(auc_draws(label, chances, resamples(owner, options.draws))[1:])
            held += [area.low <= TRUTH <= area.high, low <= TRUTH <= high]
        shares = held / options.repeats
        print(f"| {patients} | {slices} | {shares[0]:.1%} | {shares[1]:.1%} |", flush=True)


if __name__ == "__main__":
    main()
