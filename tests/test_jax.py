"""The whole path on the JAX backend, in a process of its own; `make test-jax` runs the contract tests there as well."""

import os
import subprocess
import sys

import pytest

import lungzoo

pytest.importorskip("jax", reason="JAX is not installed: pip install 'lungzoo[jax]'")

PASS = """
import sys
from pathlib import Path
import keras
from lungzoo.config import ExperimentConfig
from lungzoo.data.store import PreparedDataset
from lungzoo.experiment import run_experiment
assert keras.backend.backend() == "jax"

class Nowhere:
    def start_run(self, *args): return "run"
    def log_epoch(self, *args): pass
    def finish_run(self, *args): pass
    def weights_manifest(self, run_id): raise AssertionError(run_id)

config = ExperimentConfig.model_validate_json(sys.argv[1])
record = run_experiment(config, PreparedDataset(sys.argv[2]), tracker=Nowhere(), runs=Path(sys.argv[3]))
print(record.status, record.reason, [name for name in ("tensorflow",) if "segmentation_models" in sys.modules])
"""

FEATURES = """
import sys
import keras, numpy as np
import lungzoo
from lungzoo.losses import LOSSES
image = np.random.default_rng(0).random((1, 50, 70, 1), "float32")
small = dict(encoder_options={"width": 4}, encoder_depth=3, decoder_convs=1)
for name in sys.argv[1:]:
    model = lungzoo.create_model(name, **small)
    assert model(image, training=False).shape == (1, 50, 70, 1), name
mask = (image > 0.7).astype("float32")
for name, loss in LOSSES.items():
    assert np.isfinite(float(loss(mask, 4 * image - 2))), name
assert not lungzoo.list_models("sm/*")
model = lungzoo.load("unet_mobilenetv2_035-lidc-v1")
print("sum", float(np.abs(model.predict(image, verbose=0)).sum()))
"""

EXPLAINED = """
import keras, numpy as np
import lungzoo
from lungzoo.explain.features import CutModel, region_score
image = np.random.default_rng(0).random((1, 50, 70, 1), "float32")
region = np.zeros((50, 70), bool)
region[20:30, 40:50] = True
model = lungzoo.load("unet_mobilenetv2_035-lidc-v1")
for level in ("P2", "P4"):
    _, gradient = CutModel(model, level).gradient(image, region_score(region))
    print(float(np.abs(gradient).sum()), float(gradient.mean(axis=(0, 1))[5]))
"""


def on_jax(code: str, *arguments: str) -> str:
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_an_experiment_trains_and_is_scored(tiny, phantom, tmp_path):
    assert on_jax(PASS, tiny.model_dump_json(), str(phantom.path), str(tmp_path)).startswith("finished")


@pytest.mark.slow
def test_every_decoder_runs():
    on_jax(FEATURES, *lungzoo.list_models("*_cnn"))


@pytest.mark.slow
def test_models_and_losses_run_and_shipped_weights_predict_as_on_tensorflow():
    import numpy as np

    image = np.random.default_rng(0).random((1, 50, 70, 1), "float32")
    expected = float(np.abs(lungzoo.load("unet_mobilenetv2_035-lidc-v1").predict(image, verbose=0)).sum())
    found = float(on_jax(FEATURES, "cnn_scratch", "lite_cnn", "fpn_cnn").split("sum ")[1])
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_gradients_of_explanations_are_those_of_tensorflow():
    import contextlib
    import io

    here = io.StringIO()
    with contextlib.redirect_stdout(here):
        exec(EXPLAINED, {})
    expected, found = ([float(each) for each in text.split()] for text in (here.getvalue(), on_jax(EXPLAINED)))
    assert len(found) == 4
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
