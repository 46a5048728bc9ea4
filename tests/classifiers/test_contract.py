"""What every registered classifier does, without being named here."""

from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import Examples, Lesion
from lungzoo.classifiers.kinds import boosted_features, crop_cnn
from lungzoo.errors import ConfigError, DivergedError, UnknownNameError

FAST = {
    "epochs": 4,
    "learning_rate": 0.02,
    "batch_size": 6,
    "width": 4,
    "crop_px": 16,
    "max_iter": 10,
    "min_samples_leaf": 5,
}


def lesions(labels: np.ndarray, seed: int) -> list[Lesion]:
    """Class n is a square of 3 + 3n pixels a side, so that size tells them apart."""
    rng = np.random.default_rng(seed)
    found = []
    for label in labels:
        side, (row, column) = 3 + 3 * int(label), rng.integers(2, 12, 2)
        mask = np.zeros((24, 24), bool)
        mask[row : row + side, column : column + side] = True
        image = np.clip(0.3 + 0.4 * mask + rng.normal(0, 0.05, mask.shape), 0, 1).astype(np.float32)
        found.append(Lesion(image, mask, (0.7, 0.7)))
    return found


@pytest.fixture(params=CLASSIFIERS.names())
def spec(request):
    return CLASSIFIERS.get(request.param)


@pytest.fixture
def options(spec):
    return spec.checked_options({key: value for key, value in FAST.items() if key in spec.options})


def examples(spec, options, labels, seed):
    described = [spec.describe(lesion, options) for lesion in lesions(labels, seed)]
    assert {each.dtype for each in described} == {np.dtype(np.float32)}
    return Examples(np.stack(described), labels)


def test_learns_what_size_tells(spec, options):
    classes = 3
    train, val, test = (examples(spec, options, np.arange(60) % classes, seed) for seed in range(3))
    fitted = spec.fit(train, val, classes, options, 0)
    chances = fitted.probabilities(test.inputs)
    assert chances.shape == (60, classes)
    assert chances.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    assert (chances.argmax(axis=1) == test.labels).mean() > 0.8
    arrays = fitted.arrays()
    assert {array.dtype.kind for array in arrays.values()} <= set("biuf")
    assert all(np.isfinite(array).all() for array in arrays.values())
    again = spec.restore(arrays, classes, options)
    assert again.probabilities(test.inputs) == pytest.approx(chances, abs=1e-6)


def test_nothing_is_looked_at_beyond_the_reach(spec, options):
    reach = spec.reach(options)
    image, mask = np.random.default_rng(0).random((120, 130)).astype(np.float32), np.zeros((120, 130), bool)
    for rows, columns in ((slice(50, 60), slice(55, 75)), (slice(0, 9), slice(118, 130))):
        mask[:], mask[rows, columns] = False, True
        near = tuple(slice(max(line.start - reach, 0), line.stop + reach) for line in (rows, columns))
        whole, cut = Lesion(image, mask, (0.7, 0.7)), Lesion(image[near], mask[near], (0.7, 0.7))
        assert np.array_equal(spec.describe(whole, options), spec.describe(cut, options), equal_nan=True)


def test_the_same_seed_gives_the_same_probabilities_and_no_validation_is_needed(spec, options):
    train, none = (examples(spec, options, np.arange(40) % 2, 0), Examples(np.zeros((0, 1)), np.zeros(0, int)))
    options |= {"epochs": 1} if "epochs" in options else {}
    first, second = (spec.fit(train, none, 2, options, 1).probabilities(train.inputs) for _ in range(2))
    assert first == pytest.approx(second, abs=1e-6)


def test_is_described(spec):
    assert spec.name in CLASSIFIERS
    assert spec.title
    assert all(spec.checked_options({key: value})[key] == value for key, value in spec.options.items())


def test_every_size_of_a_file_that_someone_sent_has_a_bound(spec):
    numbers = {key for key, value in spec.options.items() if isinstance(value, int) and not isinstance(value, bool)}
    assert numbers <= set(spec.most)


def test_unknown_names_and_options_are_told():
    with pytest.raises(UnknownNameError) as unknown:
        CLASSIFIERS.get("crop_cn")
    assert str(unknown.value) == (
        "Unknown classifier 'crop_cn'. Did you mean 'crop_cnn'? See: lungzoo list classifiers"
    )
    with pytest.raises(ConfigError) as option:
        CLASSIFIERS.get("crop_cnn").checked_options({"crop": 32})
    assert str(option.value).startswith("Classifier 'crop_cnn' has no option 'crop'. Did you mean 'crop_px'? Allowed: ")


@pytest.mark.parametrize(
    ("name", "options", "allowed"),
    [
        ("crop_cnn", {"epochs": 0}, "a positive whole number, at most 10000"),
        ("crop_cnn", {"epochs": True}, "a positive whole number, at most 10000"),
        ("crop_cnn", {"learning_rate": "x"}, "a positive number"),
        ("crop_cnn", {"learning_rate": math.inf}, "a positive number"),
        ("crop_cnn", {"crop_px": 7}, "a positive whole number, 8 or more, at most 256"),
        ("crop_cnn", {"width": 129}, "a positive whole number, at most 128"),
        ("boosted_features", {"max_leaf_nodes": 1}, "a positive whole number, 2 or more, at most 256"),
        ("boosted_features", {"features": "some"}, "one of all, size"),
    ],
)
def test_values_that_do_not_fit_are_told(name, options, allowed):
    with pytest.raises(ConfigError) as error:
        CLASSIFIERS.get(name).checked_options(options)
    ((key, value),) = options.items()
    assert str(error.value) == f"Option '{key}' of classifier '{name}' must be {allowed}. Received: {value!r}"


def test_the_least_options_work():
    assert crop_cnn.build(CLASSIFIERS.get("crop_cnn").least["crop_px"], 2, 1).output_shape == (None, 2)
    spec = CLASSIFIERS.get("boosted_features")
    options = spec.checked_options({**spec.least, "max_iter": 1, "min_samples_leaf": 5})
    train = examples(spec, options, np.arange(12) % 2, 0)
    assert spec.fit(train, train, 2, options, 0).probabilities(train.inputs).shape == (12, 2)


def test_a_network_that_diverges_says_so(monkeypatch):
    import keras

    shallow = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]  # built faster than the real one
    monkeypatch.setattr(crop_cnn, "build", lambda *sizes: keras.Sequential([keras.Input((16, 16, 2)), *shallow]))
    spec = CLASSIFIERS.get("crop_cnn")
    options = spec.checked_options({"crop_px": 16, "epochs": 2, "batch_size": 6, "learning_rate": 1e38})
    train = examples(spec, options, np.arange(12) % 2, 0)
    with pytest.raises(DivergedError) as error:
        spec.fit(train, train, 2, options, 0)
    assert str(error.value).startswith("The second stage 'crop_cnn' went wrong in epoch ")
    assert str(error.value).endswith(" Lower learning_rate in classify.options.")


def test_crops_are_shown_in_batches_of_few_sizes(monkeypatch):
    """Each new size would be compiled anew, and wide networks on large crops fill the memory."""
    sizes = []

    class Network:
        layers = (None, SimpleNamespace(output=np.zeros((1, 16, 16, 4))))

        def predict_on_batch(self, crops):
            sizes.append(len(crops))
            return crops[:, 0, 0, :]

    monkeypatch.setattr(crop_cnn, "_BATCH_BYTES", 8 * 4 * 16 * 16 * 4)
    inputs = np.random.default_rng(0).random((21, 24, 24, 2)).astype(np.float32)
    found = crop_cnn.CropCnn(Network()).probabilities(inputs)
    assert sizes == [8, 8, 8]
    assert found[:, 0] == pytest.approx(1 / (1 + np.exp(inputs[:, 4, 4, 1] - inputs[:, 4, 4, 0])), abs=1e-6)
    sizes.clear()
    crop_cnn.CropCnn(Network()).probabilities(inputs[:3])
    assert sizes == [4]


def test_trees_are_fitted_on_no_more_lesions_than_a_file_may_hold(monkeypatch):
    monkeypatch.setattr(boosted_features, "_MOST_LESIONS", 40)
    spec = CLASSIFIERS.get("boosted_features")
    options = spec.checked_options({"max_iter": 3, "min_samples_leaf": 5})
    train = Examples(np.random.default_rng(0).normal(size=(90, 21)).astype(np.float32), np.arange(90) % 2)
    none = Examples(train.inputs[:0], train.labels[:0])
    arrays = [spec.fit(train, none, 2, options, 7).arrays() for _ in range(2)]
    assert arrays[0]["inputs"].shape == (40, 21)
    assert np.array_equal(arrays[0]["inputs"], arrays[1]["inputs"])
    with pytest.raises(
        ConfigError, match=r"grows at most 4000 trees\. Received: 2000 rounds of 3 classes\. Lower max_iter"
    ):
        spec.fit(train, none, 3, spec.checked_options({"max_iter": 2000}), 7)


def test_trees_take_one_thread_although_scikit_learn_comes_late():
    """Threads wait for each other on a busy machine; a limit that is set before scikit-learn is there finds nothing."""
    code = (
        "from lungzoo.classifiers.kinds.boosted_features import _one_thread\n"
        "with _one_thread():\n"
        "    from threadpoolctl import threadpool_info\n"
        "    found = [each['num_threads'] for each in threadpool_info() if each['user_api'] == 'openmp']\n"
        "print(found, 1 if set(found) == {1} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1", done.stdout
