"""What a suite says once it is over: its table, the figures of its arms, the run that it recommends."""

from __future__ import annotations

from dataclasses import dataclass, field

from lungzoo.tracking.record import RunRecord, SuitePlan


@dataclass(frozen=True)
class Champion:
    """A run whose weights are worth handing on, and how to use them.

    Args:
        fingerprint: of the run.
        loader: module that loads the weights when MLflow serves them, by its `load_served(folder)`.
        input_shape: of a batch; -1 where any size goes.
        outputs: {name: shape} of what the model answers.
        tags: what a version of the registered model says of itself.
        description: the same in Markdown.
    """

    fingerprint: str
    loader: str
    input_shape: tuple[int, ...]
    outputs: dict[str, tuple[int, ...]]
    tags: dict[str, str]
    description: str


@dataclass(frozen=True)
class ArmSummary:
    """One arm over its seeds and folds.

    Args:
        arm: its name.
        cells: of its row in a short table.
        mean: its figures as those of one run, with intervals over seeds; None without a finished run.
        tags: what else to filter by.
        chosen: whether the suite recommends it.
    """

    arm: str
    cells: tuple[str, ...]
    mean: RunRecord | None = None
    tags: dict[str, str] = field(default_factory=dict)
    chosen: bool = False


@dataclass(frozen=True)
class SuiteSummary:
    """The results of a suite.

    Args:
        plan: what was asked for.
        headline: a sentence.
        table: the whole table in Markdown.
        headings: of the short table, over the cells of `arms`.
        arms: best first.
        remarks: sentences that belong under the table.
        metrics: figures of the suite by name; NaN ones are not recorded.
        champion: of the chosen arm; None where no arm is finished.
    """

    plan: SuitePlan
    headline: str
    table: str
    headings: tuple[str, ...] = ()
    arms: tuple[ArmSummary, ...] = ()
    remarks: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    champion: Champion | None = None
