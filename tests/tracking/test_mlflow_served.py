"""What a model refuses reaches MLflow's server as an error that it answers with status 400."""

import sys
from types import ModuleType

import pytest
from mlflow.exceptions import MlflowException

from lungzoo.errors import UsageError
from lungzoo.tracking.mlflow_served import _load_pyfunc


class Model:
    def __init__(self, path):
        self.path = path

    def predict(self, batch):
        if batch == "text":
            raise UsageError("Send slices in [0, 1].")
        return self.path, batch


@pytest.fixture
def loaded(monkeypatch):
    loader = ModuleType("a_loader")
    loader.load_served = Model
    monkeypatch.setitem(sys.modules, "a_loader", loader)
    return _load_pyfunc("folder", {"loader": "a_loader"})


def test_answers_pass(loaded):
    assert loaded.predict("slices", {"some": "parameter"}) == ("folder", "slices")


def test_refusals_are_bad_requests(loaded):
    with pytest.raises(MlflowException, match=r"^Send slices in \[0, 1\]\.$") as refused:
        loaded.predict("text")
    assert refused.value.get_http_status_code() == 400
    assert "stack_trace" not in refused.value.serialize_as_json()
