"""Arms that a search has tuned: `transfers = ["tuned:NAME"]`."""

from __future__ import annotations

from typing import Any

from lungzoo.config import ExperimentConfig, TunedConfig, changed
from lungzoo.config.model import TUNED
from lungzoo.content import find_content
from lungzoo.errors import ConfigError
from lungzoo.schema import parse, read_toml
from lungzoo.tracking.record import TunedArm


def load_tuned(name: str) -> TunedConfig:
    """Read tuned settings by name, or by path.

    Raises:
        UnknownNameError, UsageError, ConfigError: there are none, or they do not fit the schema.
    """
    path = find_content("best", name)
    return parse(TunedConfig, read_toml(path), f"Tuned settings {path.name}")


def is_tuned(recipe: str) -> bool:
    """Tell whether a recipe names the result of a search."""
    return recipe.startswith(TUNED)


def with_tuned(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Put the settings that a search found on top of an experiment's, where its recipe names them.

    Args:
        values: of the experiment, nested; those whose recipe is an ordinary one come back as they are.
        where: what they come from, for messages.

    Returns:
        The settings, with the recipe that the search chose and a label that names the search.

    Raises:
        UsageError: there is no such result, or it is of another model.
    """
    recipe = values["transfer"]["recipe"]
    if not is_tuned(recipe):
        return values
    tuned = load_tuned(recipe.removeprefix(TUNED))
    if tuned.model != values["model"]["name"]:
        raise ConfigError(
            f"{where}: '{recipe}' is of the model '{tuned.model}'. Received: '{values['model']['name']}'. "
            "Put it into an [[arms]] block of its own."
        )
    base = {**values, "transfer": tuned.baseline.model_dump(exclude_defaults=True)}
    label = " / ".join(filter(None, (values["label"], recipe)))
    return changed(base, tuned.settings) | {"label": label}


def tuned_arms(experiments: list[ExperimentConfig], dataset: str, split: str) -> tuple[TunedArm, ...]:
    """Return what a suite's plan says of its tuned arms.

    Args:
        experiments: of the suite.
        dataset, split: fingerprints of its dataset and its split.
    """
    found: dict[str, TunedArm] = {}
    for experiment in experiments:
        plain, mark, name = experiment.label.rpartition(TUNED)
        if not mark or experiment.arm in found:
            continue
        tuned = load_tuned(name)
        label, about = plain.removesuffix(" / "), tuned.provenance
        baseline = experiment.model_copy(update={"transfer": tuned.baseline, "label": label}).arm
        seeds = {each.train.train_seed for each in experiments if each.arm == experiment.arm}
        found[experiment.arm] = TunedArm(
            arm=experiment.arm,
            baseline=baseline if any(each.arm == baseline for each in experiments) else "",
            search=about.search,
            trials=about.trials,
            epochs=about.epochs,
            train_seconds=about.train_seconds,
            seeds_seen=tuple(sorted(seeds & set(about.train_seeds))),
            same_split=(about.dataset_fingerprint, about.split_fingerprint) == (dataset, split),
        )
    return tuple(found.values())
