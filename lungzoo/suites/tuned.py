"""Arms that a search has tuned: `transfers = ["tuned:NAME"]`."""

from __future__ import annotations

from typing import Any

from lungzoo.config import ExperimentConfig, Provenance, TunedConfig, changed, without_preset
from lungzoo.config.model import TUNED
from lungzoo.content import find_content
from lungzoo.errors import ConfigError
from lungzoo.schema import parse, read_toml
from lungzoo.tracking.record import OTHER_SPLIT, TunedArm

BETWEEN = " / "  # the parts of an arm's name


def load_tuned(name: str) -> TunedConfig:
    """Read tuned settings by name, or by path.

    Raises:
        UnknownNameError, UsageError, ConfigError: there are none, or they do not fit the schema.
    """
    path = find_content("best", name)
    return parse(TunedConfig, read_toml(path), f"Tuned settings {path.name}")


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
    if not recipe.startswith(TUNED):
        return values
    tuned = load_tuned(recipe.removeprefix(TUNED))
    if tuned.model != values["model"]["name"]:
        raise ConfigError(
            f"{where}: '{recipe}' is of the model '{tuned.model}'. Received: '{values['model']['name']}'. "
            "Put it into an [[arms]] block of its own."
        )
    base = {**values, "transfer": tuned.baseline.model_dump(exclude_defaults=True)}
    if "augment.preset" in tuned.settings:
        base["augment"] = without_preset(values["augment"])
    label = BETWEEN.join(filter(None, (values["label"], recipe)))
    return changed(base, tuned.settings) | {"label": label}


def tuned_arms(experiments: list[ExperimentConfig], dataset: str, splits: set[str]) -> tuple[TunedArm, ...]:
    """Return what a suite's plan says of its tuned arms.

    Args:
        experiments: of the suite.
        dataset: its fingerprint.
        splits: fingerprints of the suite's splits, one per fold.
    """
    found: dict[str, TunedArm] = {}
    for experiment in experiments:
        name = _tuned_name(experiment)
        if not name or experiment.arm in found:
            continue
        tuned = load_tuned(name)
        about = tuned.provenance
        seeds = {each.train.train_seed for each in experiments if each.arm == experiment.arm}
        found[experiment.arm] = TunedArm(
            arm=experiment.arm,
            baseline=_baseline(experiment, tuned, experiments),
            search=about.search,
            trials=about.trials,
            epochs=about.epochs,
            train_seconds=about.train_seconds,
            seeds_seen=tuple(sorted(seeds & set(about.train_seeds))),
            judged_on=_judged_on(about, dataset, splits),
        )
    return tuple(found.values())


def _tuned_name(experiment: ExperimentConfig) -> str:
    """Return what the label of a tuned arm ends with, "" for an ordinary one."""
    label = f"{BETWEEN}{experiment.label}"
    return label.rpartition(f"{BETWEEN}{TUNED}")[2] if f"{BETWEEN}{TUNED}" in label else ""


def _baseline(experiment: ExperimentConfig, tuned: TunedConfig, experiments: list[ExperimentConfig]) -> str:
    """Return the arm of the same model with the transfer that the search set out from, of the same label at best."""
    wanted = (experiment.model.name, tuned.baseline.slug)
    plain = [each for each in experiments if not _tuned_name(each) and (each.model.name, each.transfer.slug) == wanted]
    same_label = [each for each in plain if experiment.label.startswith(f"{each.label}{BETWEEN}{TUNED}")]
    return next((each.arm for each in (*same_label, *plain)), "")


def _judged_on(about: Provenance, dataset: str, splits: set[str]) -> str:
    if about.dataset_fingerprint != dataset:
        return "another dataset"
    return "the same split" if splits == {about.split_fingerprint} else OTHER_SPLIT
