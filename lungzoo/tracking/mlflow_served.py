"""What MLflow loads of a registered model, and how its refusals reach whoever asked.

The model itself comes from the loader that the registered model names. What it refuses becomes MLflow's own error,
which its server answers with status 400 and the message; of any other error it would show a stack trace.
"""

from __future__ import annotations

import importlib
from typing import Any

from mlflow.exceptions import MlflowException

from lungzoo.errors import UsageError

LOADER_KEY = "loader"


class Courteous:
    """A loaded model whose refusals are MLflow's.

    Args:
        model: has `predict(batch)`, which raises UsageError for input that it does not take.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, batch: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the model's answer.

        Args:
            batch: see the model.
            params: ignored; MLflow passes them.

        Raises:
            MlflowException: the model refuses the batch.
        """
        try:
            return self.model.predict(batch)
        except UsageError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> Courteous:
    """Return the model in a folder; MLflow calls it by this name, with what was written as `model_config`."""
    return Courteous(importlib.import_module(model_config[LOADER_KEY]).load_served(path))
