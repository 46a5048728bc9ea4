"""Pretrained weights from the shared folder, and what is said where there are none."""

import os
import subprocess
import sys

import pytest

from lungzoo.errors import WeightsUnavailable
from lungzoo.models.fetching import fetching

LOAD = """
import sys
from lungzoo.config import ModelConfig
from lungzoo.errors import WeightsUnavailable
from lungzoo.models.assemble import build_model
try:
    model = build_model(ModelConfig(name="unet_mobilenetv2", encoder_options={"alpha": float(sys.argv[1])}), "imagenet")
except WeightsUnavailable as error:
    print("unavailable:", error)
else:
    kernel = model.get_layer("encoder").get_layer("Conv1").get_weights()[0]
    print("loaded:", float(abs(kernel).sum()))
"""


def load(keras_home, alpha: str) -> str:
    environment = {**os.environ, "KERAS_HOME": str(keras_home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    # A proxy that refuses at once stands for a machine without a network.
    environment |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, alpha], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip().splitlines()[-1]


def test_weights_in_keras_home_are_loaded(shared_dir, tmp_path):
    (tmp_path / "models").symlink_to(shared_dir / "weights" / "keras_home" / "models")
    assert load(tmp_path, "0.35").startswith("loaded:")


def test_weights_that_cannot_be_fetched_say_which_file_goes_where(tmp_path):
    answer = load(tmp_path, "0.35")
    assert answer.startswith("unavailable: the imagenet weights of mobilenetv2 could not be fetched")
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5" in answer
    assert str(tmp_path) in answer


def test_a_truncated_file_is_named_and_not_used(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5").write_bytes(
        b"\x89HDF\r\n\x1a\n" * 9
    )
    answer = load(tmp_path, "0.35")
    assert answer.startswith("unavailable: the imagenet weights of mobilenetv2")
    assert "cannot be read" in answer
    assert "Delete the file" in answer


def test_a_programming_error_is_not_taken_for_missing_weights():
    with pytest.raises(TypeError), fetching("x", "imagenet"):
        raise TypeError("a bug")
    with pytest.raises(WeightsUnavailable), fetching("x", "imagenet"):
        raise OSError("truncated file")


def test_offline_nothing_is_asked_of_the_network(tmp_path, monkeypatch):
    import lungzoo

    monkeypatch.setenv("LUNGZOO_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def forbidden(*arguments):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.create_connection", forbidden)
    with pytest.raises(WeightsUnavailable, match=r"could not be fetched \(LUNGZOO_OFFLINE is set\)"):
        lungzoo.create_encoder("mobilenetv2", weights="imagenet", options={"alpha": 0.5}, depth=3)
