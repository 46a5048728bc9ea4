"""What every set of weights that ships with lungzoo promises."""

from __future__ import annotations

import numpy as np
import pytest

from lungzoo.content import content_dir, content_names
from lungzoo.models.load import load
from lungzoo.weights import hub

MAX_BYTES = 5_000_000
SHIPPED = content_names("weights")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_is_there_and_small(name: str) -> None:
    published = hub.get(name)
    assert published.shipped.is_file() or published.urls
    if published.shipped.is_file():
        assert published.manifest.fault(published.shipped) is None
        assert published.manifest.size_bytes <= MAX_BYTES


@pytest.mark.parametrize("name", SHIPPED)
def test_the_manifest_is_complete(name: str) -> None:
    manifest = hub.find(name)
    for field in ("title", "licence", "attribution", "source", "created", "lungzoo_version", "protocol", "metrics"):
        assert getattr(manifest, field), field
    assert manifest.trained_on
    assert len(manifest.trained_on.fingerprint) == 64
    assert manifest.trained_on.split_seed is not None
    patients = manifest.trained_on.patients
    assert patients.train
    assert patients.val
    assert patients.test
    everyone = [*patients.train, *patients.val, *patients.test]
    assert len(everyone) == len(set(everyone))


@pytest.mark.parametrize("name", SHIPPED)
def test_scores_have_intervals(name: str) -> None:
    metrics = hub.find(name).metrics
    assert "dice" in metrics
    for score in metrics.values():
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.mean <= score.high
        assert score.cases >= score.patients > 1


@pytest.mark.parametrize("name", [name for name in SHIPPED if hub.get(name).shipped.is_file()])
def test_it_loads_and_predicts(name: str) -> None:
    model = load(name)
    channels = model.input_shape[-1]
    logits = model(np.zeros((1, 64, 80, channels), "float32"), training=False)
    mask = np.asarray(logits["mask"] if isinstance(logits, dict) else logits)
    assert mask.shape[:3] == (1, 64, 80)
    assert np.isfinite(mask).all()


def test_nothing_else_lies_there() -> None:
    files = {path.name for path in content_dir("weights").iterdir()}
    named = {hub.find(name).file for name in SHIPPED} | {f"{name}.toml" for name in SHIPPED}
    assert files - named == {"README.md"}
