"""A store that does not answer."""

import os
import time

import pytest
from mlflow.exceptions import MlflowException

from lungzoo.errors import TrackingError
from lungzoo.tracking.mlflow_connection import Patience
from mlflow import MlflowClient

NOBODY = "http://127.0.0.1:9"


def test_a_silent_store_is_asked_briefly(monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"does not answer"), Patience().attempt(NOBODY):
        MlflowClient(NOBODY).get_run("0" * 32)
    assert time.monotonic() - began < 60  # MLflow alone takes four minutes
    assert not [name for name in os.environ if name.startswith("MLFLOW_HTTP_REQUEST")]


def test_how_long_it_tries_may_be_said(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with Patience().attempt(NOBODY):
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"


def test_after_a_long_silence_it_is_left_alone_for_ten_times_as_long(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    patience = Patience()

    def fail() -> None:
        with patience.attempt(NOBODY):
            now[0] += 20
            raise MlflowException("refused")

    with pytest.raises(TrackingError, match=r"does not answer: refused"):
        fail()
    now[0] += 199
    with pytest.raises(TrackingError, match=r"did not answer a moment ago"):
        fail()
    now[0] += 2
    with pytest.raises(TrackingError, match=r"does not answer: refused"):
        fail()
