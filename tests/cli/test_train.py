"""`lungzoo train` before anything is trained: names of weights, and sizes that come with them."""

from __future__ import annotations

from typing import Any

import pytest

from lungzoo.cli.train import _check_name, _score, _sized
from lungzoo.config import ExperimentConfig
from lungzoo.errors import UsageError, WeightsMismatch
from lungzoo.schema import parse
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


def test_a_model_has_the_sizes_of_the_weights_it_starts_from(capsys: pytest.CaptureFixture[str]) -> None:
    sized = _sized(experiment(f"lungzoo:{SHIPPED}-finetune"), as_given=False)
    assert sized.model == hub.find(SHIPPED).model
    assert (sized.model.encoder_depth, sized.model.decoder_channels) == (4, (64, 48, 32, 16))
    assert f"Note: the model has the sizes of the weights '{SHIPPED}'" in capsys.readouterr().err


def test_so_has_one_that_starts_from_a_run() -> None:
    config = experiment("run:3f2a91-finetune")
    assert _sized(config, as_given=False) is config  # it is not looked at
    tracker: Any = OneRun()
    assert _sized(config, False, tracker).model == hub.find(SHIPPED).model


def test_sizes_that_were_given_stay() -> None:
    with pytest.raises(WeightsMismatch, match=r"are those of a model with encoder_options = \{'alpha': 0.35\}"):
        _sized(experiment(f"lungzoo:{SHIPPED}-finetune", encoder_depth=5), as_given=True)


def test_another_model_stays() -> None:
    with pytest.raises(WeightsMismatch, match="are those of a model with name = unet_mobilenetv2"):
        _sized(experiment(f"lungzoo:{SHIPPED}-finetune", name="unet_resnet18"), as_given=False)


@pytest.mark.parametrize("transfer", ["scratch", f"lungzoo:{SHIPPED}-finetune"])
def test_what_fits_is_not_touched(transfer: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = parse(
        ExperimentConfig, {"model": hub.find(SHIPPED).model.model_dump(mode="json"), "transfer": transfer}, "test"
    )
    assert _sized(config, as_given=False) is config
    assert capsys.readouterr().err == ""


def test_weights_in_the_place_of_a_model() -> None:
    with pytest.raises(
        UsageError,
        match=f"'{SHIPPED}' are weights, and a model is wanted. Start from them with: lungzoo train "
        f"unet_mobilenetv2 --transfer lungzoo:{SHIPPED}-finetune",
    ):
        _check_name(SHIPPED)
    _check_name("unet_mobilenetv2")
    _check_name("unet_resnet5O")  # told later, with the nearest name


@pytest.mark.parametrize(
    ("low", "high", "interval"),
    [(0.5, 0.75, "[0.500, 0.750]"), (float("nan"),) * 2 + ("(too few for an",)],
)
def test_the_last_line_has_an_interval_or_says_why_not(low: float, high: float, interval: str) -> None:
    said = _score({"mean": 0.616, "low": low, "high": high, "cases": 13, "patients": 2})
    assert said.startswith(f"Dice 0.616 {interval}")
    assert said.endswith(" on 13 slices with a lesion of 2 patient(s)")
