"""Whether a search for hyperparameters paid: each tuned arm against the one that it set out from."""

from __future__ import annotations

import numpy as np

from lungzoo.metrics.contract import CaseMetric
from lungzoo.statistics.paired import Comparison
from lungzoo.suites.report.numbers import p_value
from lungzoo.tracking.record import OTHER_SPLIT, TunedArm

_HOUR_S = 3600


def enhancement_in_words(
    tuned: tuple[TunedArm, ...], metric: CaseMetric, comparison: Comparison | None, compared: tuple[str, ...]
) -> list[str]:
    """Return a sentence for each tuned arm of a suite, and one on what its search cost.

    Args:
        tuned: the tuned arms.
        metric: by which arms are compared.
        comparison: of the arms; None where they cannot be compared.
        compared: their names, in its order.
    """
    lines = []
    for arm in tuned:
        lines.append(f"{_helped(arm, metric, comparison, compared)} {_cost(arm)}")
        if arm.seeds_seen:
            seeds = ", ".join(map(str, arm.seeds_seen))
            lines.append(f"Seed(s) {seeds} also served the search '{arm.search}': other ones would judge it better.")
        if arm.judged_on == OTHER_SPLIT:
            lines.append(
                f"The search '{arm.search}' used another split of this dataset, so it may have seen test patients, and "
                f"'{arm.arm}' may look too good."
            )
    return lines


def _helped(arm: TunedArm, metric: CaseMetric, comparison: Comparison | None, compared: tuple[str, ...]) -> str:
    name = f"Enhancement '{arm.search}'"
    if not arm.baseline:
        return f"{name}: the suite has no arm with the settings that the search set out from."
    if comparison is None or not {arm.arm, arm.baseline} <= set(compared):
        return f"{name}: not compared with '{arm.baseline}' yet."
    one, other = compared.index(arm.arm), compared.index(arm.baseline)
    place = int(np.flatnonzero((comparison.first == min(one, other)) & (comparison.second == max(one, other)))[0])
    sign = 1.0 if one < other else -1.0
    ends = sorted((sign * comparison.low[place], sign * comparison.high[place]))
    difference = sign * comparison.difference[place]
    better = (difference > 0) == (metric.better == "higher")
    if comparison.different[one, other]:
        verdict = "helped" if better else "did harm"
    else:
        verdict = "made no difference that this test set shows"
    unit = f" {metric.unit}" if metric.unit else ""
    return (
        f"{name} {verdict}: {metric.title} differs from '{arm.baseline}' by {difference:+.3f}{unit} "
        f"[{ends[0]:+.3f}, {ends[1]:+.3f}], p {p_value(comparison.p_holm[place])}."
    )


def _cost(arm: TunedArm) -> str:
    hours = arm.train_seconds / _HOUR_S
    time = f"{hours:.1f} h" if hours >= 1 else f"{arm.train_seconds / 60:.0f} min"
    return f"It took {arm.trials} trials, {arm.epochs} epochs and {time} of training on {arm.judged_on}."
