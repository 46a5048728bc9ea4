"""The training loop on a tiny phantom."""

import subprocess
import sys

import numpy as np
import pytest

from lungzoo.config import ExperimentConfig, ModelConfig, TransferConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.errors import ConfigError, LungzooError
from lungzoo.events import ignore
from lungzoo.metrics.streaming import CaseDice
from lungzoo.models.assemble import build_model
from lungzoo.models.transfer import RECIPES, Stage, schedule
from lungzoo.training import callbacks
from lungzoo.training.checkpoint import CheckpointFolder
from lungzoo.training.loop import fit, set_batchnorm_momentum
from lungzoo.training.seeding import prepared


def stages(recipe: str, config: ExperimentConfig) -> tuple[Stage, ...]:
    return RECIPES.get(recipe).plan(TransferConfig(recipe=recipe), config.model.encoder_depth)


def train(config: ExperimentConfig, dataset, folder, recipe="scratch", observe=ignore, on_epoch=lambda *_: None):
    split = split_patients(dataset.cases, config.data, dataset.fingerprint)
    rows = select_rows(dataset, split, config.data)
    pipeline = Pipeline(dataset, config.data, config.train.batch_size)
    with prepared(config.train):
        model = build_model(config.model)
        start = [value.copy() for value in model.get_layer("encoder").get_weights()]
        progress = fit(
            model, pipeline, rows, stages(recipe, config), config, CheckpointFolder(folder), observe, on_epoch
        )
    return model, progress, start


def changed(config: ExperimentConfig, **train_settings) -> ExperimentConfig:
    return config.model_copy(update={"train": config.train.model_copy(update=train_settings)})


def test_learns_and_keeps_the_best_weights(tiny, phantom, tmp_path):
    config = changed(tiny, epochs=6, learning_rate=1e-2)
    model, progress, _ = train(config, phantom, tmp_path)
    losses = [row["loss"] for row in progress.history]
    assert min(losses[1:]) < losses[0]
    scores = [row["val_dice"] for row in progress.history]
    assert (progress.best_val_dice, progress.best_epoch) == (max(scores), int(np.argmax(scores)))
    assert validate(model, config, phantom) == pytest.approx(progress.best_val_dice, abs=1e-6)


def test_the_best_weights_come_back_even_if_later_ones_were_worse(tiny, phantom, tmp_path, monkeypatch):
    original = callbacks.Watch.on_epoch_end

    def spoil(watch, epoch, logs=None):
        original(watch, epoch, logs)
        watch.model.set_weights([np.zeros_like(value) for value in watch.model.get_weights()])

    monkeypatch.setattr(callbacks.Watch, "on_epoch_end", spoil)
    config = changed(tiny, epochs=1, learning_rate=1e-2)
    model, progress, _ = train(config, phantom, tmp_path)
    assert any(np.any(value) for value in model.get_weights())
    assert validate(model, config, phantom) == pytest.approx(progress.best_val_dice, abs=1e-6)


def validate(model, config, dataset) -> float:
    split = split_patients(dataset.cases, config.data, dataset.fingerprint)
    rows = select_rows(dataset, split, config.data)["val"]
    metric = CaseDice(config.score.threshold, config.score.min_lesion_px)
    pipeline = Pipeline(dataset, config.data, config.train.batch_size)
    for image, mask, _ in pipeline.evaluation(rows, config.score.shift_px, config.data.split_seed):
        metric.update_state(mask, model(image, training=False))
    return float(metric.result())


def test_every_arm_trains_with_the_same_batchnorm_momentum(tiny, phantom, tmp_path):
    import keras

    model, _, _ = train(changed(tiny, epochs=1, batchnorm_momentum=0.7), phantom, tmp_path)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.7}


MIRRORED = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
from lungzoo.config import ExperimentConfig
from lungzoo.data.pipeline import Pipeline
from lungzoo.data.splits.split import select_rows, split_patients
from lungzoo.data.store import PreparedDataset
from lungzoo.events import ignore
from lungzoo.models.assemble import build_model
from lungzoo.models.transfer import Stage
from lungzoo.training import loop, seeding
from lungzoo.training.checkpoint import CheckpointFolder
seeding.strategy_scope = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
config = ExperimentConfig.model_validate_json(sys.argv[1])
dataset = PreparedDataset(sys.argv[2])
rows = select_rows(dataset, split_patients(dataset.cases, config.data, dataset.fingerprint), config.data)
with seeding.prepared(config.train):
    model = build_model(config.model)
    progress = loop.fit(
        model, Pipeline(dataset, config.data, 6), rows, (Stage(1.0),), config,
        CheckpointFolder(Path(sys.argv[3])), ignore, lambda *_: None,
    )
print("replicas", model.distribute_strategy.num_replicas_in_sync, "epochs", progress.epoch)
"""


@pytest.mark.slow
def test_trains_saves_and_resumes_on_several_devices(tiny, phantom, tmp_path):
    for epochs in (1, 2):
        config = changed(tiny, epochs=epochs).model_dump_json()
        command = [sys.executable, "-c", MIRRORED, config, str(phantom.path), str(tmp_path / "checkpoints")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert f"replicas 2 epochs {epochs}" in done.stdout, done.stderr[-2000:]


def test_same_seed_same_weights(tiny, phantom, tmp_path):
    first, again = (train(tiny, phantom, tmp_path / name)[0].get_weights() for name in "ab")
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tiny, phantom, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(callbacks, "_CHECKPOINT_SHARE", 1e9)
    whole, progress, _ = train(tiny, phantom, tmp_path / "whole")

    def killed(epoch: int, metrics: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, phantom, tmp_path / "cut", on_epoch=killed)
    seen = []
    resumed, again, _ = train(tiny, phantom, tmp_path / "cut", on_epoch=lambda epoch, _: seen.append(epoch))
    assert seen == [2]
    assert again.best_epoch == progress.best_epoch
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frozen_encoder_keeps_every_value_batchnorm_statistics_included(tiny, phantom, tmp_path):
    model, _, start = train(tiny, phantom, tmp_path, recipe="frozen")
    for before, after in zip(start, model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    frozen_count = sum(value.size for value in start)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) <= model.count_params() - frozen_count


def test_early_stopping(tiny, phantom, tmp_path):
    config = changed(tiny, epochs=12, patience=1, learning_rate=1e-9)
    _, progress, _ = train(config, phantom, tmp_path)
    assert progress.epoch == progress.best_epoch + 2 < 12


def test_a_loss_that_becomes_nan_is_an_error_that_says_what_to_do(tiny, phantom, tmp_path):
    with pytest.raises(LungzooError, match=r"The loss became NaN in epoch \d. Lower train.learning_rate"):
        train(changed(tiny, learning_rate=1e30, warmup_epochs=0), phantom, tmp_path)


@pytest.mark.parametrize("precision", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"])
def test_mixed_precision(tiny, phantom, tmp_path, precision):
    import keras

    before = keras.config.dtype_policy().name
    model, progress, _ = train(changed(tiny, precision=precision, epochs=2), phantom, tmp_path)
    assert all(np.isfinite(row["loss"]) for row in progress.history)
    assert model.get_layer("encoder").get_layer("P1_0_conv").compute_dtype == precision.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    assert keras.config.dtype_policy().name == before


def test_batchnorm_momentum_is_set_in_nested_models():
    import keras

    model = build_model(ModelConfig(name="unet_mobilenetv2", encoder_options={"alpha": 0.35}))
    set_batchnorm_momentum(model, 0.8)
    found = {layer.momentum for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)}
    assert found == {0.8}


@pytest.mark.parametrize(
    "cut_after", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_run_of_several_stages_goes_on_where_it_was_killed(tiny, phantom, tmp_path, monkeypatch, cut_after):
    """Two frozen epochs, then two of all layers; the second cut is between the stages."""
    monkeypatch.setattr(callbacks, "_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(callbacks, "_CHECKPOINT_SHARE", 1e9)
    monkeypatch.setitem(RECIPES._entries, "two", type("Two", (type(RECIPES.get("staged")),), {"start": "random"})())
    monkeypatch.setattr(RECIPES.get("two"), "options", {"decoder_share": 0.5}, raising=False)
    config = changed(tiny, epochs=4)
    whole, progress, _ = train(config, phantom, tmp_path / "whole", recipe="two")

    def killed(epoch: int, metrics: object) -> None:
        if epoch + 1 == cut_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, phantom, tmp_path / "cut", recipe="two", on_epoch=killed)
    resumed, again, _ = train(config, phantom, tmp_path / "cut", recipe="two")
    assert [row["loss"] for row in again.history] == [row["loss"] for row in progress.history]
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_stage_begins_with_a_fresh_optimiser_for_what_trains(tiny, phantom, tmp_path):
    seen = {}

    def look(model):
        def on_epoch(epoch, _):
            optimizer = model().optimizer
            seen[epoch] = (int(optimizer.iterations), len(optimizer._trainable_variables))

        return on_epoch

    models = []
    original = build_model

    def remember(config):
        models.append(original(config))
        return models[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "build_model", remember)
        train(changed(tiny, epochs=5), phantom, tmp_path, recipe="gradual", on_epoch=look(lambda: models[0]))
    steps = seen[0][0]
    counts = [count for _, count in seen.values()]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == len(models[0].trainable_variables)
    # Three stages of unfreezing have an epoch each, the last stage has the other two: its second epoch counts on.
    assert [done for done, _ in seen.values()] == [steps, steps, steps, steps, 2 * steps]


def test_every_epoch_belongs_to_one_stage():
    stages = (Stage(0.3, 0), Stage(0.7))
    assert [(start, end) for _, start, end in schedule(stages, 10)] == [(0, 3), (3, 10)]
    assert [(start, end) for _, start, end in schedule(stages, 2)] == [(0, 1), (1, 2)]
    with pytest.raises(ConfigError, match=r"2 stages, so train.epochs must be at least 2"):
        schedule(stages, 1)
    gradual = RECIPES.get("gradual").stages(4, {"unfreeze_share": 0.5})
    assert [end for _, _, end in schedule(gradual, 5)] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_patience_ends_a_run_in_its_last_stage_only(tiny, phantom, tmp_path):
    config = changed(tiny, epochs=9, patience=1, learning_rate=1e-9)
    stages = (Stage(0.5, 0), Stage(0.5))
    split = split_patients(phantom.cases, config.data, phantom.fingerprint)
    rows = select_rows(phantom, split, config.data)
    with prepared(config.train):
        model = build_model(config.model)
        pipeline = Pipeline(phantom, config.data, config.train.batch_size)
        progress = fit(model, pipeline, rows, stages, config, CheckpointFolder(tmp_path), ignore, lambda *_: None)
    first_of_last = schedule(stages, 9)[1][1]
    assert first_of_last < progress.epoch < 9


def test_a_random_frozen_encoder_has_settled_statistics(tiny, phantom, tmp_path):
    model, _, start = train(tiny, phantom, tmp_path, recipe="random_frozen")
    names = [variable.path for variable in model.get_layer("encoder").weights]
    moved = {
        name
        for name, before, after in zip(names, start, model.get_layer("encoder").get_weights(), strict=True)
        if not np.array_equal(before, after)
    }
    assert moved
    assert all("moving_" in name for name in moved)


@pytest.mark.slow
def test_xla_step(tiny, phantom, tmp_path):
    _, progress, _ = train(changed(tiny, jit_compile=True, deterministic=False, epochs=1), phantom, tmp_path)
    assert np.isfinite(progress.history[0]["loss"])
