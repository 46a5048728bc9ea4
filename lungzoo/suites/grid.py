"""From a suite to its experiments."""

from __future__ import annotations

from collections.abc import Iterable

from lungzoo.config import ArmsConfig, ExperimentConfig, SuiteConfig, TransferConfig
from lungzoo.content import find_content
from lungzoo.data.splits.split import split_dataset
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError
from lungzoo.evaluation.score import slice_metrics
from lungzoo.metrics.contract import METRICS
from lungzoo.schema import parse, read_toml
from lungzoo.suites.tuned import tuned_arms, with_tuned
from lungzoo.tracking.describe import describe_dataset
from lungzoo.tracking.record import PlannedRun, SuitePlan


def load_suite(name: str) -> SuiteConfig:
    """Read a shipped suite by name, or any by path.

    Raises:
        UnknownNameError, UsageError, ConfigError: no such suite, or one that does not fit the schema.
    """
    path = find_content("suites", name)
    suite = parse(SuiteConfig, read_toml(path), f"Suite {path.name}")
    if METRICS.get(suite.primary_metric) not in slice_metrics():
        raise ConfigError(
            f"Suite '{suite.name}': primary_metric '{suite.primary_metric}' is of volumes, and suites score slices. "
            "See: lungzoo list metrics"
        )
    if METRICS.get(suite.primary_metric).better == "zero":
        raise ConfigError(
            f"Suite '{suite.name}': primary_metric '{suite.primary_metric}' is a signed error, best near 0, by which "
            "arms cannot be ranked. Take its absolute value, or another metric; see: lungzoo list metrics"
        )
    return suite


def expand(suite: SuiteConfig) -> list[ExperimentConfig]:
    """Return every arm with every seed and fold, in the order of the file.

    With `data.folds` and no `data.fold` every fold has its run.

    Raises:
        ConfigError: a setting that no experiment has, or two arms of the same name.
    """
    experiments = [
        _experiment(suite, arms, model, transfer, seed, fold)
        for arms in suite.arms
        for model in arms.models
        for transfer in arms.transfers
        for seed in suite.seeds
        for fold in _folds(suite)
    ]
    seen: set[tuple[str, int, int]] = set()
    for experiment in experiments:
        key = (experiment.arm, experiment.train.train_seed, experiment.data.fold)
        if key in seen:
            raise ConfigError(
                f"Suite '{suite.name}' has two arms called '{experiment.arm}' with seed {key[1]}. "
                "Give one of the [[arms]] blocks a `label`."
            )
        seen.add(key)
    return experiments


def plan_suite(
    suite: SuiteConfig, experiments: list[ExperimentConfig], dataset: PreparedDataset, warnings: Iterable[str] = ()
) -> SuitePlan:
    """Return the plan of experiments that were checked against the dataset.

    Args:
        suite: the suite.
        experiments: every arm with every seed and fold.
        dataset: the dataset.
        warnings: what its table must say of leakage; the same may come several times.
    """
    runs = tuple(
        PlannedRun(e.fingerprint(dataset.fingerprint), e.arm, e.train.train_seed, e.model_dump(mode="json"))
        for e in experiments
    )
    splits = {split_dataset(dataset, data).fingerprint for data in {experiment.data for experiment in experiments}}
    return SuitePlan(
        suite.name,
        suite.title,
        suite.description,
        suite.primary_metric,
        describe_dataset(dataset),
        runs,
        tuned_arms(experiments, dataset.fingerprint, splits),
        tuple(sorted({text for text in warnings if text})),
    )


def _folds(suite: SuiteConfig) -> list[int]:
    data = suite.data
    return [data.fold] if data.folds is None or "fold" in data.model_fields_set else list(range(data.folds))


def _experiment(
    suite: SuiteConfig, arms: ArmsConfig, model: str, transfer: TransferConfig, seed: int, fold: int
) -> ExperimentConfig:
    for section, key, instead in (("model", "name", "models of [[arms]]"), ("train", "train_seed", "seeds")):
        if key in getattr(arms, section) or key in _given(suite, section):
            raise ConfigError(f"Suite '{suite.name}': '{section}.{key}' is set by the suite's {instead}. Remove it.")
    values = {
        "data": {**suite.data.model_dump(), "fold": fold},
        "augment": suite.augment.model_dump(),
        "model": {**suite.model, **arms.model, "name": model},
        "transfer": transfer.model_dump(),
        "train": {**suite.train.model_dump(), **arms.train, "train_seed": seed},
        "score": suite.score.model_dump(),
        "classify": arms.classify.model_dump() if arms.classify else None,
        "label": arms.label,
    }
    where = f"Suite '{suite.name}', model '{model}'"
    return parse(ExperimentConfig, with_tuned(values, where), where)


def _given(suite: SuiteConfig, section: str) -> set[str]:
    value = getattr(suite, section)
    return set(value) if isinstance(value, dict) else set(value.model_fields_set)
