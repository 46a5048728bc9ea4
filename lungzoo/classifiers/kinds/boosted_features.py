"""Gradient boosting on size, shape, grey values and texture: the plain baseline of the second stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import ClassifierSpec, Examples, Lesion
from lungzoo.classifiers.features import NAMES, SIZE, features
from lungzoo.metrics.classification import log_loss
from lungzoo.schema import Option

CHOICES = {"all": NAMES, "size": SIZE}


def describe(lesion: Lesion, options: Mapping[str, Option]) -> np.ndarray:
    """Return float32 (features,); NaN where a feature is unknown."""
    found = features(lesion)
    return np.array([found[name] for name in CHOICES[str(options["features"])]], np.float32)


def fit(train: Examples, val: Examples, classes: int, options: Mapping[str, Option], seed: int) -> BoostedFeatures:
    """Grow trees up to `max_iter` rounds, and keep as many as the validation cross-entropy is best with.

    Source: Friedman 2001, doi:10.1214/aos/1013203451; histograms: Ke et al. 2017 (LightGBM). By scikit-learn.
    """
    with _one_thread():
        model = _grown(train, options, int(options["max_iter"]), seed)
        if len(val):
            staged = model.staged_predict_proba(val.inputs)
            losses = [log_loss(val.labels, _all(model, found, classes)) for found in staged]
            model = _grown(train, options, 1 + int(np.argmin(losses)), seed)
    return BoostedFeatures(model, train, classes, CHOICES[str(options["features"])])


class BoostedFeatures:
    """Fitted trees.

    Args:
        model: of scikit-learn.
        train: what it was fitted on; that, and not the trees, is what is kept.
        classes: number of classes.
        names: of the features.
    """

    def __init__(self, model: Any, train: Examples, classes: int, names: tuple[str, ...]) -> None:
        self._model, self._train, self._classes, self._names = model, train, classes, names

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        with _one_thread():
            return _all(self._model, self._model.predict_proba(inputs), self._classes)

    def save(self, folder: Path) -> None:
        """Write the features and labels it was fitted on, and its settings: `load` fits again, which takes a second.

        scikit-learn stores trees as pickles, which lungzoo neither writes nor reads.
        """
        import pandas as pd

        table = pd.DataFrame(self._train.inputs, columns=list(self._names))
        table.assign(label=self._train.labels).to_csv(folder / "features.csv", index=False)
        settings = {key: value for key, value in self._model.get_params().items() if value is not None}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1, default=str))


def load(folder: Path, classes: int, options: Mapping[str, Option]) -> BoostedFeatures:
    """Fit again what `BoostedFeatures.save` wrote: the same trees, as far as scikit-learn's version is the same."""
    import pandas as pd

    names = CHOICES[str(options["features"])]
    table = pd.read_csv(folder / "features.csv")
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    train = Examples(table[list(names)].to_numpy(np.float32), table["label"].to_numpy(np.int64))
    with _one_thread():
        model = _grown(train, options, int(settings["max_iter"]), int(settings["random_state"]))
    return BoostedFeatures(model, train, classes, names)


def _one_thread() -> Any:
    """Keep trees to one thread: a thousand rows are no work for several, which would wait for each other."""
    return _threads().limit(limits=1, user_api="openmp")


@cache
def _threads() -> Any:
    # Only libraries that are loaded already are found, so scikit-learn must come first.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def _grown(train: Examples, options: Mapping[str, Option], rounds: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=float(options["learning_rate"]),
        max_iter=rounds,
        max_leaf_nodes=int(options["max_leaf_nodes"]),
        min_samples_leaf=int(options["min_samples_leaf"]),
        l2_regularization=1.0,
        early_stopping=False,  # its own validation part would share patients with the rest
        random_state=seed,
    )
    # Without a spacing nothing in mm is known, and scikit-learn does not take a column of NaN alone; 0 tells nothing.
    unknown = np.isnan(train.inputs).all(axis=0)
    return model.fit(np.where(unknown, 0, train.inputs), train.labels)


def _all(model: Any, found: np.ndarray, classes: int) -> np.ndarray:
    """Put the columns of the classes that the model knows at their numbers."""
    chances = np.zeros((len(found), classes), np.float32)
    chances[:, model.classes_] = found
    return chances


CLASSIFIERS.add(
    "boosted_features",
    ClassifierSpec(
        name="boosted_features",
        title="Gradient boosting on size, shape, grey values and texture of the marked lesion",
        options={
            "features": "all",
            "learning_rate": 0.05,
            "max_iter": 200,
            "max_leaf_nodes": 8,
            "min_samples_leaf": 20,
        },
        choices={"features": tuple(CHOICES)},
        least={"max_leaf_nodes": 2},
        describe=describe,
        fit=fit,
        load=load,
    ),
)
