"""Gradient boosting on size, shape, grey values and texture: the plain baseline of the second stage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import ClassifierSpec, Examples, Lesion
from lungzoo.classifiers.features import NAMES, RIM_PX, SIZE, features
from lungzoo.errors import ConfigError
from lungzoo.metrics.classification import log_loss
from lungzoo.schema import Option

CHOICES = {"all": NAMES, "size": SIZE}
_MOST_LESIONS = 20_000
"""Training lesions that are fitted on, and may lie in a file: whoever reads it fits them again."""
_MOST_TREES = 4_000
_WITNESSES = 64
"""Training lesions whose probabilities are kept, so that trees which grow differently elsewhere are noticed."""
_ALIKE = 1e-3


def describe(lesion: Lesion, options: Mapping[str, Option]) -> np.ndarray:
    """Return float32 (features,); NaN where a feature is unknown."""
    found = features(lesion)
    return np.array([found[name] for name in CHOICES[str(options["features"])]], np.float32)


def fit(train: Examples, val: Examples, classes: int, options: Mapping[str, Option], seed: int) -> BoostedFeatures:
    """Grow trees up to `max_iter` rounds, and keep as many as the validation cross-entropy is best with.

    Of very many training lesions it takes a part, drawn at random.

    Raises:
        ConfigError: there would be too many trees.

    Source: Friedman 2001, doi:10.1214/aos/1013203451; histograms: Ke et al. 2017 (LightGBM). By scikit-learn.
    """
    _check_trees(int(options["max_iter"]), classes)
    train = _few_enough(train, seed)
    with _one_thread():
        model = _grown(train, options, int(options["max_iter"]), seed)
        if len(val):
            staged = model.staged_predict_proba(val.inputs)
            losses = [log_loss(val.labels, _all(model, found, classes)) for found in staged]
            model = _grown(train, options, 1 + int(np.argmin(losses)), seed)
    return BoostedFeatures(model, train, classes)


class BoostedFeatures:
    """Fitted trees.

    Args:
        model: of scikit-learn.
        train: what it was fitted on; that, and not the trees, is what is kept.
        classes: number of classes.
    """

    def __init__(self, model: Any, train: Examples, classes: int) -> None:
        self._model, self._train, self._classes = model, train, classes

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        with _one_thread():
            return _all(self._model, self._model.predict_proba(inputs), self._classes)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the features and labels it was fitted on, how many rounds and the seed: `restore` fits again.

        That takes a second. scikit-learn stores trees as pickles, which lungzoo neither writes nor reads.
        """
        inputs, settings = self._train.inputs, self._model.get_params()
        numbers = {"rounds": settings["max_iter"], "seed": settings["random_state"]}
        return {
            "inputs": np.nan_to_num(inputs),
            "known": np.isfinite(inputs),
            "labels": self._train.labels.astype(np.int64),
            "witnesses": self.probabilities(inputs[:_WITNESSES]),
            **{name: np.array(value, np.int64) for name, value in numbers.items()},
        }

    def differs(self, witnesses: np.ndarray) -> float:
        """Return by how much its answers for the first training lesions differ from those that were kept."""
        return float(np.abs(self.probabilities(self._train.inputs[: len(witnesses)]) - witnesses).max())


def restore(arrays: Mapping[str, np.ndarray], classes: int, options: Mapping[str, Option]) -> BoostedFeatures:
    """Fit again what `BoostedFeatures.arrays` returned: the same trees, as far as scikit-learn's version is the same.

    Raises:
        ConfigError: the arrays are not that, or trees that grow here answer differently.
    """
    names = CHOICES[str(options["features"])]
    inputs, known, labels = arrays["inputs"], arrays["known"], arrays["labels"]
    rounds, seed, witnesses = int(arrays["rounds"]), int(arrays["seed"]), arrays["witnesses"]
    _check_trees(rounds, classes)
    if not (
        inputs.shape == known.shape == (len(labels), len(names))
        and len(labels) <= _MOST_LESIONS
        and witnesses.shape == (min(len(labels), _WITNESSES), classes)
        and 1 < len(found := set(np.unique(labels).tolist())) <= classes
        and found <= set(range(classes))
        and 0 < rounds <= int(options["max_iter"])
        and 0 <= seed < 2**32
    ):
        raise ConfigError(
            f"'boosted_features' cannot be fitted on what the file holds: {len(labels)} labels, features "
            f"{inputs.shape}, {rounds} rounds. Expected are {len(names)} features of each of at most {_MOST_LESIONS} "
            f"lesions, two or more of {classes} classes, and at most {options['max_iter']} rounds."
        )
    train = Examples(np.where(known.astype(bool), inputs, np.nan).astype(np.float32), labels.astype(np.int64))
    with _one_thread():
        fitted = BoostedFeatures(_grown(train, options, rounds, seed), train, classes)
    if (differs := fitted.differs(witnesses)) > _ALIKE:
        raise ConfigError(
            f"the trees that grow here answer differently by up to {differs:.3f}, so figures would not hold for them. "
            f"They were grown by another version of scikit-learn than {version('scikit-learn')}: install that one."
        )
    return fitted


def _check_trees(rounds: int, classes: int) -> None:
    trees = rounds * (classes if classes > 2 else 1)
    if trees > _MOST_TREES:
        raise ConfigError(
            f"'boosted_features' grows at most {_MOST_TREES} trees. Received: {rounds} rounds of {classes} classes. "
            "Lower max_iter in classify.options."
        )


def _few_enough(train: Examples, seed: int) -> Examples:
    if len(train) <= _MOST_LESIONS:
        return train
    chosen = np.sort(np.random.default_rng(seed).choice(len(train), _MOST_LESIONS, replace=False))
    return Examples(train.inputs[chosen], train.labels[chosen])


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
        restore=restore,
        most={"max_iter": 2000, "max_leaf_nodes": 256, "min_samples_leaf": 10_000},
        reach=lambda options: RIM_PX,
    ),
)
