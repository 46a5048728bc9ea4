"""Sizes of a model that come with the weights which its training starts from."""

from __future__ import annotations

from lungzoo.checks import check_settings
from lungzoo.config import ExperimentConfig, TransferConfig
from lungzoo.errors import WeightsMismatch
from lungzoo.models.load import find_manifest
from lungzoo.suites.known import manifest_of
from lungzoo.tracking.tracker import Tracker
from lungzoo.weights.manifest import WeightsManifest


def with_sizes(
    config: ExperimentConfig, as_given: bool, tracker: Tracker | None = None
) -> tuple[ExperimentConfig, str]:
    """Check settings and start; a model whose sizes were not given has those of the weights that it starts from.

    Args:
        config: the experiment.
        as_given: sizes were given, so the model stays as it is.
        tracker: where the weights of "run:…" are; without it they are not looked at.

    Returns:
        The experiment, and what was changed, in a sentence; "" where nothing was.

    Raises:
        UsageError: as `check_settings` does.
    """
    try:
        check_settings(config, tracker)
    except WeightsMismatch:
        start = _start(config.transfer, tracker)
        if as_given or start is None or start.model.name != config.model.name:
            raise
        config = config.model_copy(update={"model": start.model})
        check_settings(config, tracker)
        return config, f"the model has the sizes of the weights '{start.name}' that it starts from."
    return config, ""


def _start(transfer: TransferConfig, tracker: Tracker | None) -> WeightsManifest | None:
    """Return what is known of the whole model that training starts from, if it does."""
    if transfer.starts_from in ("nothing", "encoder"):
        return None
    weights = str(transfer.weights)
    if tracker is None:
        return None if transfer.starts_from == "run" else find_manifest(weights)
    return manifest_of(weights, lambda: tracker)
