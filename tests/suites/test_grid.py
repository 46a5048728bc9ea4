import pytest

from lungzoo.config import SuiteConfig
from lungzoo.content import content_names
from lungzoo.errors import ConfigError, LungzooError, UnknownNameError, UsageError
from lungzoo.events import ignore
from lungzoo.executors.local import LocalExecutor
from lungzoo.models.starts import check_start
from lungzoo.schema import parse
from lungzoo.suites.execute import run_suite
from lungzoo.suites.grid import expand, load_suite

ARMS = {"models": ["cnn_scratch", "unet_mobilenetv2"], "transfers": ["scratch"]}


def suite(**values) -> SuiteConfig:
    return parse(SuiteConfig, {"name": "s", "title": "t", "arms": [ARMS], **values}, "suite")


@pytest.mark.parametrize("name", content_names("suites"))
def test_shipped_suites_expand_to_models_that_exist(name):
    config = load_suite(name)
    assert config.name == name
    for experiment in expand(config):
        check_start(experiment.model, experiment.transfer)


def test_every_model_with_every_transfer_and_seed():
    arms = [{"models": ["unet_mobilenetv2"], "transfers": ["scratch", "imagenet-frozen"]}]
    experiments = expand(suite(arms=arms, seeds=[0, 5]))
    assert [(e.transfer.slug, e.train.train_seed) for e in experiments] == [
        ("scratch", 0), ("scratch", 5), ("imagenet-frozen", 0), ("imagenet-frozen", 5),
    ]  # fmt: skip


def test_blocks_override_the_suite():
    block = {**ARMS, "train": {"epochs": 3}, "model": {"decoder_convs": 1}}
    first = expand(suite(arms=[block], train={"epochs": 9, "batch_size": 2}, model={"decoder_convs": 2}))[0]
    assert (first.train.epochs, first.train.batch_size, first.model.decoder_convs) == (3, 2, 1)


def test_two_arms_of_one_name_need_a_label():
    with pytest.raises(ConfigError, match=r"two arms called 'cnn_scratch / scratch' with seed 0.*label"):
        expand(suite(arms=[ARMS, {**ARMS, "train": {"epochs": 3}}]))
    arms = {e.arm for e in expand(suite(arms=[ARMS, {**ARMS, "train": {"epochs": 3}, "label": "short"}]))}
    assert "cnn_scratch / scratch / short" in arms


def test_wrong_keys_name_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown key 'seed'. Did you mean 'seeds'"):
        suite(seed=[1])
    with pytest.raises(ConfigError, match=r"Unknown key 'model.decoder_conv'. Did you mean 'decoder_convs'"):
        expand(suite(model={"decoder_conv": 1}))


def test_unknown_suite_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"Unknown suite 'quik'. Did you mean 'quick'\? See: lungzoo list suites"
    ):
        load_suite("quik")


def test_a_path_that_is_not_there():
    with pytest.raises(UsageError, match=r"No suite file at 'my/suite.toml'"):
        load_suite("my/suite.toml")


def test_malformed_toml_names_the_line(tmp_path):
    (tmp_path / "bad.toml").write_text('name = "x\n')
    with pytest.raises(ConfigError, match=r"bad.toml is not valid TOML: .*line 1"):
        load_suite(str(tmp_path / "bad.toml"))


def test_a_suite_is_refused_whole_when_one_arm_cannot_run(phantom, tracker, tmp_path):
    config = suite(arms=[ARMS, {"models": ["unet_resnet50"], "model": {"classes": 4}}])
    runs = tmp_path / "runs"
    with pytest.raises(ConfigError, match=r"unet_resnet50 / scratch: the dataset 'phantom' has one class of mask"):
        run_suite(config, phantom, tracker=tracker, runs=runs, executor=LocalExecutor(), observe=ignore)
    assert not runs.exists()


def test_every_fold_has_its_run_unless_one_is_named():
    arms = [{"models": ["unet_mobilenetv2"]}]
    every = expand(suite(arms=arms, seeds=[0, 1], data={"folds": 3}))
    assert [(e.train.train_seed, e.data.fold) for e in every] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [e.data.fold for e in expand(suite(arms=arms, data={"folds": 3, "fold": 2}))] == [2]
    assert [e.data.fold for e in expand(suite(arms=arms))] == [0]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("dise", "Did you mean 'dice'?.*lungzoo list metrics"),
        ("absolute_volume_error_mm3", "is of volumes"),
        ("area_error", "is a signed error, best near 0, by which arms cannot be ranked"),
    ],
)
def test_a_primary_metric_that_does_not_lead_a_suite(tmp_path, metric, message):
    file = tmp_path / "mine.toml"
    arms = 'arms = [{models = ["cnn_scratch"], transfers = ["scratch"]}]\n'
    file.write_text(f'name = "mine"\ntitle = "t"\nprimary_metric = "{metric}"\n{arms}')
    with pytest.raises(LungzooError, match=message):
        load_suite(str(file))
