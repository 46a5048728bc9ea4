"""How often the intervals cover and the tests err, on simulated studies whose truth is known.

Each study has eight arms that are alike, one that is better by a fixed difference and one that is better by
what `resolution` says can be found. Slices of a patient share a difficulty, are unequal in number, and are zero more
often in some patients than in others; every network has its own level and its own opinion of every patient.

    python benchmarks/accuracy/interval_coverage.py --studies 2000 --write docs/statistics.md
    python benchmarks/accuracy/interval_coverage.py --speed
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from lungzoo.statistics.bootstrap import intervals
from lungzoo.statistics.paired import Comparison, compare
from lungzoo.statistics.permutation import holm
from lungzoo.statistics.resolution import resolution

BEGIN, END = "<!-- simulation -->", "<!-- /simulation -->"
DRAWS = 1000
ALIKE = 8
FIXED, RESOLVED = ALIKE, ALIKE + 1
SHIFT = 0.05
# Standard deviation of the networks of the first arm, and of the others.
NOISE = {"none": (0.0, 0.0), "small": (0.01, 0.01), "large": (0.05, 0.05), "uneven": (0.05, 0.01)}
EVEN = ("none", "small", "large")
CHUNK = 125


@dataclass(frozen=True)
class Scenario:
    """One row: patients and seeds, how much the seeds' means vary, and the number of folds."""

    patients: int
    seeds: int
    noise: str
    folds: int = 1


SCENARIOS = (
    *(Scenario(patients, 1, "none") for patients in (20, 50, 100, 200)),
    Scenario(100, 1, "large"),
    *(Scenario(patients, 3, noise) for patients in (20, 50, 100, 200) for noise in EVEN),
    *(Scenario(100, 5, noise) for noise in EVEN),
    Scenario(50, 2, "large"),
    Scenario(100, 3, "uneven"),
    Scenario(50, 3, "large", 5),
    Scenario(5, 3, "small"),
    Scenario(10, 3, "small"),
)


def main() -> None:
    """Print the table, or write it between its markers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies for each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="a Markdown file with the two markers")
    parser.add_argument("--speed", action="store_true", help="time a large suite instead")
    arguments = parser.parse_args()
    if arguments.speed:
        speed()
        return
    started = time.perf_counter()
    lines = [*HEADER]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        shifts = pool.starmap(pilot, [(scenario, arguments.seed) for scenario in SCENARIOS])
        truths = pool.starmap(truth, [(s, shift, arguments.seed) for s, shift in zip(SCENARIOS, shifts, strict=True)])
        for scenario, shift, true in zip(SCENARIOS, shifts, truths, strict=True):
            starts = range(0, arguments.studies, CHUNK)
            tasks = [
                (scenario, shift, true, range(s, min(s + CHUNK, arguments.studies)), arguments.seed) for s in starts
            ]
            found = np.concatenate(pool.starmap(studies, tasks))
            lines.append(row(scenario, true, found))
            print(lines[-1], flush=True)
    minutes = (time.perf_counter() - started) / 60
    each = f"{arguments.studies} studies per row, {DRAWS} draws each, seed {arguments.seed}"
    text = "\n".join([*lines, "", f"{each}; {minutes:.0f} minutes on two processes."])
    print(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        page = f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"
        arguments.write.write_text(page, encoding="utf-8")


def speed() -> None:
    """Time 100 arms × 3 seeds × 800 cases of 200 patients: intervals of 12 metrics, then all 4,950 pairs."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(200), 4)
    values = rng.beta(5, 2, 200)[who] + rng.normal(0, 0.05, (100, 3, 800)) + rng.normal(0, 0.01, (100, 3, 1))
    values += np.linspace(0, 0.1, 100)[:, None, None]
    metrics = np.concatenate([values] * 12)
    metrics[600:, :, :300] = np.nan
    for title, work in (
        ("intervals of 1,200 means", lambda: intervals(metrics, who)),
        ("comparison of 4,950 pairs", lambda: compare(values, who)),
    ):
        started, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{title}: {time.perf_counter() - started:.1f} s, peak {peak / 1e3:.0f} MB (+{(peak - memory) / 1e3:.0f})"
        )


HEADER = (
    "| patients | seeds | seed noise | mean covered | width | percentile | slices | difference covered | width "
    f"| false: 2 | 4 | 8 arms | Wilcoxon 8 | finds {SHIFT:g} | resolves | finds it |",
    "|" + "---|" * 16,
)
FIELDS = (
    "covered",
    "width",
    "percentile",
    "slices",
    "difference",
    "apart",
    "two",
    "four",
    "eight",
    "wilcoxon",
    "fixed",
)


def row(scenario: Scenario, true: np.ndarray, found: np.ndarray) -> str:
    """Return one line of the table."""
    mean = dict(zip((*FIELDS, "resolves", "resolved"), found.mean(axis=0), strict=True))
    folds = f", {scenario.folds} folds" if scenario.folds > 1 else ""
    cells = [str(scenario.patients), str(scenario.seeds), scenario.noise + folds]
    cells += [f"{mean['covered']:.1%}", f"{mean['width']:.3f}", f"{mean['percentile']:.1%}", f"{mean['slices']:.1%}"]
    cells += [f"{mean['difference']:.1%}", f"{mean['apart']:.3f}"]
    cells += [f"{mean[name]:.1%}" for name in ("two", "four", "eight", "wilcoxon", "fixed")]
    cells += [f"{true[2]:.3f}" if np.isfinite(mean["resolves"]) else "nothing", f"{mean['resolved']:.0%}"]
    return "| " + " | ".join(cells) + " |"


def study(
    rng: np.random.Generator, scenario: Scenario, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw values (arms, seeds, cases) in [0, 1], patients (cases,) and folds (cases,)."""
    patients, arms = scenario.patients, len(shifts)
    sizes = np.minimum(rng.geometric(0.18, patients), 20)
    who = np.repeat(np.arange(patients), sizes)
    fold = np.arange(patients) % scenario.folds
    quality, silent = rng.beta(5, 1.6, patients)[who], rng.beta(0.6, 4, patients)[who]
    base = rng.beta(quality * 10 + 0.01, (1 - quality) * 10 + 0.01)
    first, others = NOISE[scenario.noise]
    level = rng.normal(0, others, (arms, scenario.seeds, scenario.folds))[:, :, fold]
    level[0] *= first / others if others else 1.0
    taste = rng.normal(0, 0.04, (arms, 1, patients)) + rng.normal(0, 0.05, (arms, scenario.seeds, patients))
    noise = rng.normal(0, 0.05, (arms, scenario.seeds, len(who)))
    values = np.clip(base + (level + taste)[:, :, who] + noise + shifts[:, None, None], 0, 1)
    missed = (rng.random(len(who)) < silent) ^ (rng.random(values.shape) < 0.03)
    return np.where(missed | (values < 0.05), 0.0, values), who, fold[who]


def shifts_of(resolved: float) -> np.ndarray:
    """Return what each arm is better by before clipping: eight nothing, one a fixed figure, one what is resolved."""
    shifts = np.zeros(ALIKE + 2)
    shifts[FIXED], shifts[RESOLVED] = SHIFT, resolved
    return shifts


def truth(scenario: Scenario, resolved: float, seed: int) -> np.ndarray:
    """Mean of an arm, and by how much the two better arms are better, from very many patients and networks."""
    rng = np.random.default_rng([seed, 1])
    many = Scenario(40, 20, scenario.noise)
    sums, cases = np.zeros(3), 0
    for _ in range(400):
        values, who, _ = study(rng, many, np.array([0.0, SHIFT, resolved]))
        sums += values.mean(axis=1).sum(axis=1)
        cases += len(who)
    means = sums / cases
    return np.array([means[0], means[1] - means[0], means[2] - means[0]])


def pilot(scenario: Scenario, seed: int) -> float:
    """Return the difference before clipping whose mean is about what the test set resolves."""
    rng = np.random.default_rng([seed, 2])
    found = []
    for number in range(40):
        values, who, fold = study(rng, scenario, np.zeros(4))
        found.append(resolution(compare(values, who, fold, draws=200, seed=number)).difference)
    middle = float(np.median(found))
    # Slices that are missed or perfect do not become better.
    gain = truth(scenario, SHIFT, seed)[1] / SHIFT
    return float(middle / gain) if np.isfinite(middle) else 2 * SHIFT


def studies(scenario: Scenario, resolved: float, true: np.ndarray, numbers: range, seed: int) -> np.ndarray:
    """Return (studies, fields): what was covered, claimed and found."""
    with threadpool_limits(1):
        return np.array([one(scenario, resolved, true, number, seed) for number in numbers])


def one(scenario: Scenario, resolved: float, true: np.ndarray, number: int, seed: int) -> list[float]:
    """Draw a study and judge it."""
    design = [scenario.patients, scenario.seeds, list(NOISE).index(scenario.noise), scenario.folds]
    rng = np.random.default_rng([seed, 3, *design, number])
    values, who, fold = study(rng, scenario, shifts_of(resolved))
    mean = intervals(values[:1], who, fold, draws=DRAWS, seed=number)
    pairs = compare(values, who, fold, draws=DRAWS, seed=number)
    plain = values[0].mean(axis=0)
    better = (pairs.first == 0) & (pairs.second == FIXED)
    found = (pairs.first == 0) & (pairs.second == RESOLVED)
    return [
        mean.low[0] <= true[0] <= mean.high[0],
        mean.high[0] - mean.low[0],
        covers(percentiles(plain, who, rng), true[0]),
        covers(percentiles(plain, np.arange(len(who)), rng), true[0]),
        bool(pairs.low[better][0] <= -true[1] <= pairs.high[better][0]),
        float((pairs.high - pairs.low)[better][0]),
        *(claims(pairs, pairs.p, arms) for arms in (2, 4, ALIKE)),
        claims(pairs, pairs.p_wilcoxon, ALIKE),
        bool(pairs.p[better][0] <= 0.05),
        resolution(pairs).difference,
        bool(pairs.p[found][0] <= 0.05),
    ]


def claims(pairs: Comparison, p: np.ndarray, arms: int) -> bool:
    """True where any of the first arms, which are alike, are told apart after correction over their pairs."""
    return bool((holm(p[(pairs.first < arms) & (pairs.second < arms)]) <= 0.05).any())


def percentiles(values: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the plain percentile interval from resampling units: patients, or slices as if they were patients."""
    totals, sizes = np.bincount(units, values), np.bincount(units)
    chosen = rng.integers(0, len(totals), (400, len(totals)))
    ends: np.ndarray = np.quantile(totals[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), [0.025, 0.975])
    return ends


def covers(ends: np.ndarray, value: float) -> bool:
    """True where the value is between the ends."""
    return bool(ends[0] <= value <= ends[1])


if __name__ == "__main__":
    main()
