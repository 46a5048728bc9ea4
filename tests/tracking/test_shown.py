"""Names and tags in the store."""

from dataclasses import replace

import pytest

from lungzoo.config import ExperimentConfig
from lungzoo.experiment import parts_of
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.shown import arm_tags, epoch_metrics, filter_tags, final_metrics

FIGURE = {"mean": 0.7, "low": 0.6, "high": 0.8, "cases": 10, "patients": 5}


def record(**changes) -> RunRecord:
    config = ExperimentConfig(model={"name": "unet_resnet50"}, transfer="imagenet-frozen", data={"folds": 3, "fold": 1})
    base = RunRecord(
        "a" * 64, config.arm, 2, "finished", config=config.model_dump(mode="json"), dataset={"name": "lidc"},
        parts={"encoder": "resnet50", "decoder": "unet"},
    )  # fmt: skip
    return replace(base, **changes)


def test_tags_of_a_run_and_of_its_arm():
    tags = filter_tags(record())
    assert (tags["encoder"], tags["decoder"], tags["seed"], tags["fold"]) == ("resnet50", "unet", "2", "1")
    assert (tags["phase"], tags["recipe"], tags["weights"]) == ("transfer", "frozen", "imagenet")
    assert not {"seed", "fold"} & set(arm_tags(record()))


def test_a_record_of_an_older_version_has_no_parts():
    assert "encoder" not in filter_tags(record(parts={}))


@pytest.mark.parametrize(
    ("model", "transfer", "encoder", "decoder"),
    [
        ({"name": "unet_resnet50"}, "imagenet-finetune", "resnet50", "unet"),
        ({"name": "cnn_scratch"}, "scratch", "cnn", "unet"),
        ({"name": "unet_resnet50"}, "imagenet-linear_probe", "resnet50", "linear"),
        ({"name": "sm/fpn_resnet34"}, "imagenet-frozen", "sm/resnet34", "fpn"),
        ({"name": "unetr", "in_slices": 5}, "scratch", "unetr", "unet3d"),
    ],
)
def test_parts_of_every_provider(model, transfer, encoder, decoder):
    config = ExperimentConfig(model=model, transfer=transfer)
    assert parts_of(config) == {"encoder": encoder, "decoder": decoder}


def test_epochs_are_named_by_their_split():
    row = {"loss": 1.0, "dice": 0.2, "val_loss": 1.1, "val_dice": 0.1, "seconds": 30.0}
    assert set(epoch_metrics(row)) == {"train/loss", "train/dice", "val/loss", "val/dice", "train/seconds"}


def test_final_figures_have_a_section_each():
    values = final_metrics(
        record(
            metrics={"dice": FIGURE, "iou": FIGURE, "hd_mm": FIGURE},
            counts={"lesion": 10, "empty": 4},
            validation={"val_dice": 0.75, "epoch": 3, "epochs": 9},
            cost={"params": 1000, "seconds_per_epoch": 4.0},
        ),
        ("iou",),
    )
    assert values == {
        "test/dice": 0.7, "test/iou": 0.7, "test/iou_ci_low": 0.6, "test/iou_ci_high": 0.8, "test/lesion_cases": 10.0,
        "val/best_dice": 0.75, "val/best_epoch": 3, "usage/params": 1000,
    }  # fmt: skip


@pytest.mark.parametrize("with_label_head", [False, True])
def test_a_run_has_few_charts(with_label_head):
    from lungzoo.evaluation.score import LABEL_ACCURACY, slice_metrics

    names = [metric.name for metric in slice_metrics()] + [LABEL_ACCURACY] * with_label_head
    cost = dict.fromkeys(
        ("params", "trainable_params", "gmacs", "inference_ms", "weights_mb", "train_seconds", "seconds_per_epoch",
         "peak_memory_mb"), 1.0,
    )  # fmt: skip
    whole = record(
        metrics=dict.fromkeys(names, FIGURE), counts={"lesion": 1}, validation={"val_dice": 0.5, "epoch": 1}, cost=cost
    )
    epochs = epoch_metrics(dict.fromkeys(("loss", "dice", "val_loss", "val_dice", "seconds"), 1.0))
    assert len(final_metrics(whole) | epochs) <= 25 + with_label_head
