"""A Keras 3 model zoo and benchmark for transfer learning on lung-cancer CT.

Importing this package loads neither TensorFlow nor Keras; what needs them loads them on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lungzoo.serialisation import register_with_keras

_PUBLIC = {
    "ExperimentConfig": "lungzoo.config",
    "LungzooError": "lungzoo.errors",
    "ModelConfig": "lungzoo.config",
    "PreparedDataset": "lungzoo.data.store",
    "SuiteConfig": "lungzoo.config",
    "create_encoder": "lungzoo.models.create",
    "create_loss": "lungzoo.models.create",
    "create_model": "lungzoo.models.create",
    "list_models": "lungzoo.models.create",
    "load": "lungzoo.models.load",
    "run_experiment": "lungzoo.experiment",
}

__all__ = ["__version__", *_PUBLIC]


register_with_keras()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lungzoo")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'lungzoo' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
