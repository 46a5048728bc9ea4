"""What the results of a suite say of predicted classes: AUC and the rest per arm, differences of AUC, remarks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lungzoo.evaluation.labels import by_volume, probability_columns
from lungzoo.metrics.roc import mean_roc_area
from lungzoo.statistics.permutation import holm
from lungzoo.statistics.ranking import auc_draws, balanced_accuracy_draws, ends_of, resampled_p, resamples
from lungzoo.suites.report.names import short_names
from lungzoo.suites.report.numbers import p_value
from lungzoo.suites.report.results import ArmResults, SuiteResults

# Of intervals; probabilities that are corrected over many pairs need all that there are.
MOST_DRAWS = 2000
ALPHA = 0.05
_PLAIN = ("quadratic_kappa", "brier", "calibration_error")


@dataclass(frozen=True)
class Predicted:
    """Classes that the finished runs of an arm predicted for the labelled test cases, slices or volumes.

    Args:
        labels: names of the classes.
        true: int (cases,), numbers of the classes.
        chances: (runs, cases, classes), NaN where a run did not test a case.
        patients: (cases,) patient of each case.
    """

    labels: tuple[str, ...]
    true: np.ndarray
    chances: np.ndarray
    patients: np.ndarray

    @property
    def missing(self) -> str:
        """Why there is no AUC: "" where there is one."""
        for run in self.chances:
            tested = ~np.isnan(run).any(axis=1)
            present = [self.labels[number] for number in np.unique(self.true[tested])]
            if len(present) == 1:
                return f"the labelled test cases {'' if tested.all() else 'of a fold '}are all '{present[0]}'"
        return ""


@dataclass(frozen=True)
class Classes:
    """Figures of predicted classes.

    Args:
        figures: {arm: {figure: {mean, low, high}}} of arms that predict classes; of AUC also delong_low, delong_high.
        remarks: sentences that belong under the table.
    """

    figures: dict[str, dict[str, dict[str, float]]]
    remarks: tuple[str, ...]


NO_CLASSES = Classes({}, ())


def analyse_classes(results: SuiteResults, draws: int) -> Classes:
    """Analyse the predicted classes of a suite, half done or whole; nothing where no arm predicts any."""
    arms = [arm for arm in results.with_results if predicted_slices(results, arm) is not None]
    if not arms:
        return NO_CLASSES
    figures = {arm.arm: _figures(results, arm, min(draws, MOST_DRAWS)) for arm in arms}
    return Classes(figures, _remarks(results, arms, draws))


def predicted_slices(results: SuiteResults, arm: ArmResults) -> Predicted | None:
    """Return what an arm predicted for the labelled slices; None where it names no classes, or no slice has a label."""
    names = probability_columns(arm.extra)
    if not names or "label_true" not in arm.extra:
        return None
    true = np.nanmax(np.nan_to_num(arm.extra["label_true"], nan=-1), axis=0).astype(int)
    chances = np.stack([arm.extra[name] for name in names], axis=-1).astype(np.float64)
    known = true >= 0
    if not known.any():
        return None
    folds = None if results.folds is None else results.folds[known]
    return Predicted(arm.config.labels, true[known], _per_run(chances[:, known], folds), results.patients[known])


def predicted_volumes(results: SuiteResults, arm: ArmResults) -> Predicted | None:
    """Return the same of volumes: means over the slices of each; those whose slices differ in label are left out."""
    slices = predicted_slices(results, arm)
    if slices is None:
        return None
    known = np.nanmax(np.nan_to_num(arm.extra["label_true"], nan=-1), axis=0) >= 0
    volumes = results.cases["volume"].to_numpy(str)[known]
    everything = np.zeros((len(volumes), len(slices.labels)))
    names, true, _ = by_volume(volumes, slices.true, everything)
    if not len(names):
        return None
    chances = np.full((len(slices.chances), len(names), len(slices.labels)), np.nan)
    for run, found in zip(chances, slices.chances, strict=True):
        tested = ~np.isnan(found).any(axis=1)
        here, _, means = by_volume(volumes[tested], slices.true[tested], found[tested])
        run[np.searchsorted(names, here)] = means
    first = dict(zip(volumes[::-1].tolist(), slices.patients[::-1], strict=True))
    return Predicted(slices.labels, true, chances, np.array([first[name] for name in names.tolist()]))


def auc_name(labels: tuple[str, ...]) -> str:
    """Return what a record calls the area that arms are compared by, without its unit: of two classes, or of more."""
    return "auc" if len(labels) == 2 else "macro_auc"


def _per_run(chances: np.ndarray, folds: np.ndarray | None) -> np.ndarray:
    """(seeds, cases, classes) -> (runs, cases, classes); the folds of a seed are runs of their own."""
    if folds is None:
        return chances
    runs = [np.where((folds == fold)[:, None], seed, np.nan) for seed in chances for fold in np.unique(folds)]
    return np.stack([run for run in runs if not np.isnan(run).all()])


def _figures(results: SuiteResults, arm: ArmResults, draws: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for prefix, take in (("label_", predicted_slices), ("label_volume_", predicted_volumes)):
        predicted = take(results, arm)
        if predicted is None:
            continue
        drawn = resamples(predicted.patients, draws)
        area = _with_ends(auc_draws(predicted.true, predicted.chances, drawn))
        found[prefix + auc_name(predicted.labels)] = area | _delong(predicted)
        found[prefix + "balanced_accuracy"] = _with_ends(
            balanced_accuracy_draws(predicted.true, predicted.chances, drawn)
        )
        for name in _PLAIN:
            found[prefix + name] = {"mean": _mean(arm, prefix + name)}
    for name in ("label_cases", "label_volumes", "label_patients", "label_unmarked"):
        found[name] = {"mean": _mean(arm, name)}
    auc = [record.validation.get("val_label_auc", np.nan) for record in arm.finished]
    return found | {"val_label_auc": {"mean": float(np.mean(auc))}}


def _mean(arm: ArmResults, name: str) -> float:
    return float(np.mean([record.curves.get(name, np.nan) for record in arm.finished]))


def _with_ends(values: np.ndarray) -> dict[str, float]:
    low, high = ends_of(values[1:])
    return {"mean": float(values[0]), "low": low, "high": high}


def _delong(predicted: Predicted) -> dict[str, float]:
    """Return DeLong's interval of the mean area over seeds; NaN for more than two classes, or runs of other cases."""
    ends = (float("nan"), float("nan"))
    if len(predicted.labels) == 2 and not np.isnan(predicted.chances).any():
        area = mean_roc_area(predicted.true == 1, predicted.chances[:, :, 1])
        ends = (area.low, area.high)
    return {"delong_low": ends[0], "delong_high": ends[1]}


def _remarks(results: SuiteResults, arms: list[ArmResults], draws: int) -> tuple[str, ...]:
    lines, names = [], short_names([arm.arm for arm in results.arms])[0]
    for labels in dict.fromkeys(arm.config.labels for arm in arms):
        same = [arm for arm in arms if arm.config.labels == labels]
        predicted = predicted_slices(results, same[0])
        if predicted is None:
            continue
        lines.append(_counts(results, same[0], predicted))
        if predicted.missing:
            lines.append(f"AUC is undefined: {predicted.missing}.")
            continue
        lines += [line for line in (_chosen(same, names), *_differences(results, same, names, draws)) if line]
    return (*lines, *_unmarked(arms, names))


def _counts(results: SuiteResults, arm: ArmResults, predicted: Predicted) -> str:
    counts = np.bincount(predicted.true, minlength=len(predicted.labels))
    listed = ", ".join(f"{label} {count}" for label, count in zip(predicted.labels, counts, strict=True))
    volumes = predicted_volumes(results, arm)
    number = len(volumes.true) if volumes else 0
    return (
        f"Classes: {len(predicted.true)} labelled test slices ({listed}) of {number} volumes of "
        f"{len(np.unique(predicted.patients))} patients; a volume's probabilities are the means of its slices'. "
        "[ ] of AUC and balanced accuracy: 95%, patients and runs resampled."
    )


def _chosen(arms: list[ArmResults], names: dict[str, str]) -> str:
    known = [(_validation_auc(arm), names[arm.arm]) for arm in arms if arm.complete]
    known = [pair for pair in known if np.isfinite(pair[0])]
    if len(known) < 2:
        return ""
    area, name = max(known)
    return (
        "★ and the order of the rows are by validation Dice, which says nothing of classes. By validation AUC the best "
        f"is: {name}, {area:.3f}."
    )


def _validation_auc(arm: ArmResults) -> float:
    return float(np.mean([record.validation.get("val_label_auc", np.nan) for record in arm.finished]))


def _differences(results: SuiteResults, arms: list[ArmResults], names: dict[str, str], draws: int) -> list[str]:
    """Compare the AUC of slices of every pair of arms whose runs are all finished."""
    complete = [arm for arm in arms if arm.complete]
    taken = [
        (names[arm.arm], predicted) for arm in complete if (predicted := predicted_slices(results, arm)) is not None
    ]
    if len(taken) < 2:
        return []
    drawn = resamples(taken[0][1].patients, draws)
    areas = {name: auc_draws(predicted.true, predicted.chances, drawn) for name, predicted in taken}
    pairs = {pair: areas[pair[0]] - areas[pair[1]] for pair in combinations(areas, 2)}
    p = np.array([resampled_p(values[1:], drawn.patients) for values in pairs.values()])
    return [
        f"AUC of slices, {first} minus {second}: {_difference(values)}; {_told(corrected)}, p {p_value(alone)}, "
        f"Holm-corrected over {len(pairs)} pair(s) p {p_value(corrected)}."
        for ((first, second), values), alone, corrected in zip(pairs.items(), p, holm(p), strict=True)
    ]


def _difference(values: np.ndarray) -> str:
    low, high = ends_of(values[1:])
    # Where all resamples agree, as on areas of 1, there is no interval.
    return f"{values[0]:+.3f}" + ("" if np.isnan(low) else f" [{low:+.3f}, {high:+.3f}]")


def _told(corrected: float) -> str:
    return "told apart" if corrected <= ALPHA else "not told apart"


def _unmarked(arms: list[ArmResults], names: dict[str, str]) -> list[str]:
    found = []
    for arm in arms:
        number = _mean(arm, "label_unmarked")
        if arm.config.classify and number > 0:
            found.append(
                f"{names[arm.arm]} marked nothing in {number:.1f} of the labelled test slices (mean over runs), and "
                "answered there with the shares of the classes in its training."
            )
    return found
