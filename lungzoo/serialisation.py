"""Makes Keras know lungzoo's layers, so that `keras.models.load_model` reads saved models without a list of them.

Registering a layer needs Keras, and importing lungzoo must not load it: the registration waits until Keras is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Every module that registers something which a saved model can hold.
MODULES = (
    "lungzoo.decoders.layers.attention",
    "lungzoo.decoders.layers.growing",
    "lungzoo.decoders.layers.resampling",
    "lungzoo.metrics.streaming",
    "lungzoo.models.layers",
    "lungzoo.models.loss",
    "lungzoo.models.segmentation_layers",
    "lungzoo.models.volume_layers",
    "lungzoo.training.optim",
)


def register_with_keras() -> None:
    """Register the layers now if Keras is loaded, else as soon as it is."""
    if hasattr(sys.modules.get("keras"), "saving"):
        _register()
    elif not any(isinstance(finder, _KerasWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasWatcher())


def _register() -> None:
    for name in MODULES:
        import_module(name)


class _KerasWatcher(MetaPathFinder):
    """Finds nothing itself; lets the import of Keras end with the registration."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return Keras's own spec with a loader that registers afterwards; None for everything else."""
        if fullname != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader, self)
        return spec


class _RegisteringLoader(Loader):
    """Loads a module as its own loader does, then registers."""

    def __init__(self, loader: Loader, watcher: MetaPathFinder) -> None:
        self._loader = loader
        self._watcher = watcher

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `Loader`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader`."""
        if self._watcher in sys.meta_path:
            sys.meta_path.remove(self._watcher)
        self._loader.exec_module(module)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        _register()
