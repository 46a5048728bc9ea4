"""What a search found: its trials best first, the settings to take, and how it reads on a page."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import lungzoo
from lungzoo.config import AUGMENT_PRESETS, ExperimentConfig, TransferConfig, TunedConfig
from lungzoo.schema import parse
from lungzoo.search.outcome import Outcome
from lungzoo.search.plan import TUNERS, SearchPlan
from lungzoo.search.trial import show_value
from lungzoo.training.checkpoint import Progress

_SHOWN = 20


@dataclass(frozen=True)
class SearchResults:
    """A search that is over, or was stopped.

    Args:
        plan: what was asked for.
        outcomes: every trial that is over, in order of their numbers.
        wall_seconds: that the search took, all its sittings together.
        dataset: name, fingerprint.
        split_fingerprint: of the split whose validation part judged.
        cut_off: how far the runs are whose trials are not over.
    """

    plan: SearchPlan
    outcomes: tuple[Outcome, ...]
    wall_seconds: float
    dataset: dict[str, Any]
    split_fingerprint: str
    cut_off: tuple[Progress, ...] = ()

    @property
    def ranked(self) -> list[Outcome]:
        """All trials, best validation Dice first, those without one last."""

        def place(outcome: Outcome) -> tuple[float, str]:
            return math.inf if outcome.val_dice is None else -outcome.val_dice, outcome.number

        return sorted(self.outcomes, key=place)

    @property
    def best(self) -> Outcome | None:
        """The trial to take: the best that was not ended early; None where none finished."""
        return next((outcome for outcome in self.ranked if outcome.state == "finished"), None)

    @property
    def states(self) -> Counter[str]:
        """How many trials ended in which way."""
        return Counter(outcome.state for outcome in self.outcomes)

    @property
    def learned(self) -> bool:
        """Whether the best trial found any lesion, so that its settings say something."""
        return self.best is not None and (self.best.val_dice or 0.0) > 0

    @property
    def epochs(self) -> int:
        """Epochs that all trials trained together, also those that are not over."""
        return sum(outcome.epochs for outcome in self.outcomes) + self._cut_off_epochs

    @property
    def _cut_off_epochs(self) -> int:
        return sum(progress.own_epochs for progress in self.cut_off)

    @property
    def train_seconds(self) -> float:
        """Time that all trials trained together, also those that are not over."""
        cut_off = sum(progress.own_seconds for progress in self.cut_off)
        return sum(outcome.train_seconds for outcome in self.outcomes) + cut_off

    def headline(self) -> str:
        """Return a sentence on what came out."""
        best, count = self.best, len(self.outcomes)
        if best is None or best.val_dice is None:
            return f"None of {count} trial(s) finished."
        if not self.learned:
            return f"None of {count} trial(s) found a lesion: validation Dice 0."
        return f"Best of {count} trial(s): {best.number}, validation Dice {best.val_dice:.3f}."

    def cost(self) -> str:
        """Return a sentence on what the search took."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        cut_off = f" ({self._cut_off_epochs} epochs of trials that are not over)" if self._cut_off_epochs else ""
        return (
            f"{states or 'no trial over'}; {self.epochs} epochs in {self.train_seconds:.0f} s of training{cut_off}, "
            f"{self.wall_seconds:.0f} s in all."
        )

    def metrics(self) -> dict[str, float]:
        """Return the figures of the search for its page."""
        best = self.best
        figures = {f"search/{state}": float(count) for state, count in self.states.items()}
        return figures | {
            "search/trials": float(len(self.outcomes)),
            "search/epochs": float(self.epochs),
            "search/train_seconds": self.train_seconds,
            "search/wall_seconds": self.wall_seconds,
            "val/best_dice": math.nan if best is None or best.val_dice is None else best.val_dice,
        }

    def rows(self, count: int | None = _SHOWN) -> tuple[list[str], list[list[str]]]:
        """Return headings and rows of the trials, best first."""
        keys = list(self.plan.space.parameters)
        headings = ["trial", "val Dice", "epochs", "state", *(key.rpartition(".")[2] for key in keys)]
        return headings, [_row(outcome, keys) for outcome in self.ranked[:count]]

    def markdown(self, links: dict[str, str]) -> str:
        """Return what the page of the search says; `links` has a link for each trial by its number."""
        headings, rows = self.rows()
        lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
        lines += [f"| {' | '.join([links.get(row[0], row[0]), *row[1:]])} |" for row in rows]
        more = len(self.outcomes) - len(rows)
        said = [self.headline(), f"{TUNERS[self.plan.tuner]}, seed {self.plan.search_seed}: {self.cost()}"]
        said += ["The validation split chose; the test split was left shut."]
        if self.learned:
            said[0] += f" Take it over with: `lungzoo tune apply {self.plan.name}`"
        rest = [f"{more} more in `trials.csv`."] if more > 0 else []
        return "\n\n".join([*said, "\n".join(lines), *rest, "Artifacts: `trials.csv`, `best.toml`, plots."])

    def csv_text(self) -> str:
        """Return every trial as a row of a CSV file."""
        keys = list(self.plan.space.parameters)
        buffer = io.StringIO()
        table = csv.writer(buffer, lineterminator="\n")
        about = ["number", "state", "val_dice", "epochs", "until", "train_seconds", "continues", "bracket", "round"]
        table.writerow([*about, *keys, "reason"])
        for outcome in self.outcomes:
            row = [getattr(outcome, key) for key in about]
            table.writerow([*row, *(outcome.values.get(key, "") for key in keys), outcome.reason])
        return buffer.getvalue()

    def tuned(self) -> TunedConfig | None:
        """Return the best settings for a suite to name; None where no trial finished."""
        best, plan = self.best, self.plan
        if best is None:
            return None
        config = plan.config(best.values)
        seed = plan.experiment.train.train_seed
        values = {
            "name": plan.name,
            "model": config.model.name,
            "baseline": _plain_transfer(plan.experiment.transfer),
            "settings": _settings(best.values, config, plan),
            "val_dice": best.val_dice,
            "val_curve": [round(value, 4) for value in best.curve],
            "provenance": {
                "search": plan.name,
                "space": plan.space.name,
                "tuner": plan.tuner,
                "trials": len(self.outcomes),
                "epochs": self.epochs,
                "train_seconds": round(self.train_seconds, 1),
                "search_seed": plan.search_seed,
                "train_seeds": [seed + repeat for repeat in range(plan.repeats)],
                "dataset": self.dataset["name"],
                "dataset_fingerprint": self.dataset["fingerprint"],
                "split_fingerprint": self.split_fingerprint,
                "run": best.runs[0] if best.runs else "",
                "created": datetime.now(UTC).date().isoformat(),
                "lungzoo_version": lungzoo.__version__,
            },
            "config": config.model_dump(mode="json", exclude_none=True),
        }
        return parse(TunedConfig, values, f"Search '{plan.name}'")


def _settings(values: dict[str, Any], config: ExperimentConfig, plan: SearchPlan) -> dict[str, Any]:
    """Return the searched settings as they came out, presets and short forms written in full."""
    resolved = config.model_dump(mode="json", exclude_none=True)
    found: dict[str, Any] = {}
    for key in values:
        if key.partition(".")[0] == "transfer":
            found["transfer"] = _plain_transfer(config.transfer)
        elif key == "augment.preset":
            found |= {each: _at(resolved, each) for each in (key, *_decided_by_preset(plan))}
        else:
            found[key] = _at(resolved, key)
    return found


def _decided_by_preset(plan: SearchPlan) -> list[str]:
    """Return the keys that the presets to choose from set, without those that the base gave: it won over them."""
    given = plan.base.get("augment", {})
    choices = plan.space.parameters["augment.preset"].choices
    names = dict.fromkeys(name for choice in choices for name in AUGMENT_PRESETS[choice])
    return [f"augment.{name}" for name in names if name not in given]


def _plain_transfer(transfer: TransferConfig) -> dict[str, Any]:
    return transfer.model_dump(mode="json", exclude_defaults=True, exclude={"sha256"}) or {"recipe": transfer.recipe}


def _at(nested: dict[str, Any], key: str) -> Any:
    value: Any = nested
    for part in key.split("."):
        value = value[part]
    return value


def _row(outcome: Outcome, keys: list[str]) -> list[str]:
    dice = "–" if outcome.val_dice is None else f"{outcome.val_dice:.3f}"
    values = [show_value(outcome.values[key]) if key in outcome.values else "–" for key in keys]
    return [outcome.number, dice, str(outcome.until), outcome.state, *values]
