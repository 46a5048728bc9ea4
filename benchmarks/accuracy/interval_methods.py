"""Why the intervals are made as they are: how often other ways cover the truth of the same simulated studies.

Over patients alone: percentiles, BCa, t, bootstrap-t. Over patients and seeds: percentiles of the pigeonhole bootstrap,
t with Satterthwaite's degrees of freedom, and bootstrap-t widened by each of the two bounds and by their mean.

    python benchmarks/accuracy/interval_methods.py --studies 1000
"""

from __future__ import annotations

import argparse

import numpy as np
from interval_coverage import NOISE, Scenario, covers, study, truth
from scipy.stats import norm, t
from threadpoolctl import threadpool_limits

from lungzoo.statistics.bootstrap import studentised
from lungzoo.statistics.spread import seed_part, spread_of

ROWS = (
    Scenario(10, 3, "none"),
    Scenario(20, 3, "none"),
    Scenario(50, 3, "small"),
    Scenario(50, 3, "large"),
    Scenario(100, 3, "large"),
    Scenario(100, 5, "large"),
    Scenario(50, 2, "large"),
)
DRAWS = 1000


def main() -> None:
    """Print a table: one row per scenario, one column per way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies for each row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    titles: list[str] = []
    with threadpool_limits(1):
        for scenario in ROWS:
            true = float(truth(scenario, 0.0, arguments.seed)[0])
            design = [arguments.seed, 4, scenario.patients, scenario.seeds, list(NOISE).index(scenario.noise)]
            found = [ways(np.random.default_rng([*design, n]), scenario, n) for n in range(arguments.studies)]
            if not titles:
                titles = list(found[0])
                print("| patients | seeds | noise | " + " | ".join(titles) + " |\n" + "|---" * (3 + len(titles)) + "|")
            shares = [np.mean([covers(ends[name], true) for ends in found]) for name in titles]
            start = f"| {scenario.patients} | {scenario.seeds} | {scenario.noise} | "
            print(start + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


def ways(rng: np.random.Generator, scenario: Scenario, number: int) -> dict[str, np.ndarray]:
    """Draw a study and return the ends of every interval by name."""
    values, who, _ = study(rng, scenario, np.zeros(1))
    totals = np.stack([np.bincount(who, row) for row in values[0]])
    sizes = np.bincount(who).astype(float)
    mean = totals.mean(axis=0).sum() / sizes.sum()
    centred = totals.mean(axis=0) - mean * sizes
    below, above, error = (float(part[0]) for part in studentised(centred[None], sizes, DRAWS, number, 0.95))
    weights = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), DRAWS)
    moved = (weights @ centred) / (weights @ sizes)
    part = seed_part(totals, np.tile(sizes, (len(totals), 1)), np.zeros(len(sizes), dtype=int))
    spread = spread_of(np.array([error**2]), np.array([len(sizes) - 1.0]), [[part]])
    student = t.ppf(0.975, len(sizes) - 1) * error
    both = t.ppf(0.975, spread.df[0]) * np.sqrt(spread.total[0])
    together = max(both**2 - student**2, 0.0)
    apart = t.ppf(0.975, spread.seed_df[0]) ** 2 * spread.seed[0]

    def widened(more: float) -> np.ndarray:
        return mean + np.array([-np.sqrt(below**2 + more), np.sqrt(above**2 + more)])

    return {
        "percentile": mean + np.quantile(moved, [0.025, 0.975]),
        "BCa": mean + np.quantile(moved, bca_levels(moved, centred)),
        "t": mean + np.array([-student, student]),
        "bootstrap-t": widened(0.0),
        "pigeonhole": pigeonhole(rng, totals, sizes, weights),
        "Satterthwaite t": mean + np.array([-both, both]),
        "+ Satterthwaite": widened(together),
        "+ MOVER": widened(apart),
        "+ their mean": widened((together + apart) / 2),
    }


def bca_levels(moved: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Return the two quantiles that BCa reads. Source: Efron & Tibshirani 1993, equation 14.10."""
    bias = norm.ppf(np.clip((np.mean(moved < 0) + np.mean(moved <= 0)) / 2, 0.001, 0.999))
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    shifted = bias + norm.ppf([0.025, 0.975])
    levels: np.ndarray = norm.cdf(bias + shifted / (1 - acceleration * shifted))
    return levels


def pigeonhole(rng: np.random.Generator, totals: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Resample seeds and patients independently. Source: Owen 2007, doi:10.1214/07-AOAS122."""
    seeds = rng.multinomial(len(totals), np.full(len(totals), 1 / len(totals)), len(weights)) / len(totals)
    drawn = ((weights @ totals.T) * seeds).sum(axis=1) / (weights @ sizes)
    ends: np.ndarray = np.quantile(drawn, [0.025, 0.975])
    return ends


if __name__ == "__main__":
    main()
