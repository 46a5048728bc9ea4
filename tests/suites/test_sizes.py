"""Sizes that come with the weights which a training starts from."""

from __future__ import annotations

from typing import Any

import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.errors import WeightsMismatch
from lungzoo.schema import parse
from lungzoo.suites.sizes import with_sizes
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest

SHIPPED = "unet_mobilenetv2_035-lidc-v1"


def experiment(transfer: str, name: str = "unet_mobilenetv2", **model: Any) -> ExperimentConfig:
    return parse(ExperimentConfig, {"model": {"name": name, **model}, "transfer": transfer}, "test")


class OneRun:
    """A tracker that knows one run, which trained the shipped weights."""

    def find_run(self, run: str) -> str:
        return f"{run}-whole"

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        assert run_id == "3f2a91-whole"
        return hub.find(SHIPPED)


def test_a_model_has_the_sizes_of_the_weights_it_starts_from() -> None:
    sized, note = with_sizes(experiment(f"lungzoo:{SHIPPED}-finetune"), as_given=False)
    assert sized.model == hub.find(SHIPPED).model
    assert (sized.model.encoder_depth, sized.model.decoder_channels) == (4, (64, 48, 32, 16))
    assert note == f"the model has the sizes of the weights '{SHIPPED}' that it starts from."


def test_so_has_one_that_starts_from_a_run() -> None:
    config = experiment("run:3f2a91-finetune")
    assert with_sizes(config, as_given=False) == (config, "")  # it is not looked at
    tracker: Any = OneRun()
    assert with_sizes(config, False, tracker)[0].model == hub.find(SHIPPED).model


def test_sizes_that_were_given_stay() -> None:
    with pytest.raises(WeightsMismatch, match=r"are those of a model with encoder_options = \{'alpha': 0.35\}"):
        with_sizes(experiment(f"lungzoo:{SHIPPED}-finetune", encoder_depth=5), as_given=True)


def test_another_model_stays() -> None:
    with pytest.raises(WeightsMismatch, match="are those of a model with name = unet_mobilenetv2"):
        with_sizes(experiment(f"lungzoo:{SHIPPED}-finetune", name="unet_resnet18"), as_given=False)


@pytest.mark.parametrize("transfer", ["scratch", f"lungzoo:{SHIPPED}-finetune"])
def test_what_fits_is_not_touched(transfer: str) -> None:
    config = parse(
        ExperimentConfig, {"model": hub.find(SHIPPED).model.model_dump(mode="json"), "transfer": transfer}, "test"
    )
    assert with_sizes(config, as_given=False) == (config, "")
