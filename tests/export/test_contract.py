"""Every registered format: what is written answers as the model does, and is described."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungzoo.config import PhantomConfig
from lungzoo.data.readers.phantom import PhantomReader
from lungzoo.data.store import PreparedDataset
from lungzoo.decoders.layers.resampling import AdaptiveAveragePooling, NearestUpsampling, ResizeLike
from lungzoo.export.agreement import compare
from lungzoo.export.contract import EXPORT_FORMATS
from lungzoo.export.export import Request, export_weights
from lungzoo.export.heads import with_heads
from lungzoo.inference.predictor import Passes, Predictor, Region
from lungzoo.inference.volume import Volume

WEIGHTS = "lungzoo:unet_mobilenetv2_035-lidc-v1"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "exporting.md"
SIDE_PX = 64
_SLOW = ("litert", "savedmodel")
each_format = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in _SLOW else []) for name in EXPORT_FORMATS.names()]
)


def export(predictor: Predictor, name: str, folder: Path, **more: Any) -> Path:
    kind = EXPORT_FORMATS.get(name)
    out = folder / f"model{kind.suffix}"
    side_px = more.pop("side_px", SIDE_PX if kind.fixed_size else None)
    export_weights(predictor, Request(name, out, side_px, **more))
    return out


def largest_difference(predictor: Predictor, name: str, out: Path, batch: np.ndarray) -> float:
    ours = with_heads(predictor.model)(batch, training=False)
    theirs = EXPORT_FORMATS.get(name).run(out, batch)
    assert set(theirs) == set(ours)
    return max(float(np.abs(np.asarray(ours[head]) - theirs[head]).max()) for head in ours)


@each_format
def test_answers_are_the_models(name: str, tiny: Predictor, grey_slices: np.ndarray, tmp_path: Path) -> None:
    out = export(tiny, name, tmp_path)
    slices = grey_slices[..., None].astype(np.float32) / 255
    middle = slices[:, 30 : 30 + SIDE_PX, 40 : 40 + SIDE_PX]
    assert largest_difference(tiny, name, out, middle) < 1e-4
    if not EXPORT_FORMATS.get(name).fixed_size:
        assert largest_difference(tiny, name, out, slices[:1, :37, :50]) < 1e-4
    sheet = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert sheet["format"] == name
    assert sheet["files"][0]["name"].split("/")[0] == out.name
    for entry in sheet["files"]:
        assert hashlib.sha256((tmp_path / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {out.name, f"{out.name}.json", *(path.name for path in EXPORT_FORMATS.get(name).beside(out))}


@pytest.mark.parametrize("name", ["onnx", pytest.param("litert", marks=pytest.mark.slow)])
def test_two_heads_keep_their_names_and_auxiliary_ones_stay_behind(
    name: str, make_predictor: Callable[..., Predictor], tmp_path: Path
) -> None:
    predictor = make_predictor(labels=("benign", "malignant", "none"), deep_supervision=True, in_slices=3, classes=2)
    out = export(predictor, name, tmp_path)
    batch = np.random.default_rng(0).random((2, SIDE_PX, SIDE_PX, 3), np.float32)
    assert largest_difference(predictor, name, out, batch) < 1e-4
    answer = EXPORT_FORMATS.get(name).run(out, batch)
    assert {head: values.shape for head, values in answer.items()} == {
        "mask": (2, SIDE_PX, SIDE_PX, 2),
        "label": (2, 3),
    }


@pytest.mark.parametrize(
    ("name", "quantise"),
    [
        ("npz", "float16"),
        pytest.param("litert", "float16", marks=pytest.mark.slow),
        pytest.param("litert", "int8", marks=pytest.mark.slow),
    ],
)
def test_quantised_files_are_near_and_say_how_near(
    name: str, quantise: str, tiny: Predictor, phantom: PreparedDataset, tmp_path: Path
) -> None:
    small = tmp_path / f"small{EXPORT_FORMATS.get(name).suffix}"
    made = export_weights(tiny, Request(name, small, None, quantise, phantom.path))
    sheet = json.loads((tmp_path / f"{small.name}.json").read_text())
    assert sheet["quantised_to"] == quantise
    assert sheet["compared"]["allowed"] is None
    assert 0 < sheet["compared"]["max_difference_probability"] == made.agreement.probability < 0.1


def test_names_and_axes_of_an_onnx_graph(tiny: Predictor, tmp_path: Path) -> None:
    import onnx

    graph = onnx.load(str(export(tiny, "onnx", tmp_path))).graph
    (image,), (mask,) = graph.input, graph.output

    def axes(value: Any) -> list[Any]:
        return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]

    assert (image.name, axes(image)) == ("image", ["batch", "height", "width", 1])
    assert (mask.name, axes(mask)) == ("mask", ["batch", "height", "width", 1])


def test_the_example_of_the_page(tiny: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/exporting.md computes without lungzoo is what `lungzoo predict` sees in the slice."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    items = PhantomReader(PhantomConfig(patients=3, slices_per_patient=8, size_px=70)).patient(0)
    image = items[3].image[None, :, :61]
    export_weights(tiny, Request("onnx", tmp_path / "nodules.onnx"))
    np.save(tmp_path / "slice.npy", image[0])
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(example, found)
    volume = Volume(image, "hu", np.arange(1), image.shape, items[3].case.spacing_mm)
    everything = Region(np.ones(1, bool), (slice(0, 70), slice(0, 61)))
    (answer,) = tiny.slices(volume, everything, Passes())
    assert found["probability"] == pytest.approx(answer.probability, abs=1e-4)
    assert found["lesion"].shape == (70, 61)


def test_an_npz_is_a_weights_file_of_lungzoo(tiny: Predictor, tmp_path: Path) -> None:
    from lungzoo.models.load import resolve

    out = export(tiny, "npz", tmp_path)
    manifest, file = resolve(out)
    assert file == out
    assert manifest.model == tiny.manifest.model
    assert (manifest.name, manifest.file) == ("tiny", "model.npz")


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_format
def test_shipped_weights_on_real_slices(name: str, grey_slices: np.ndarray, tmp_path: Path) -> None:
    from lungzoo.inference.predictor import open_predictor

    predictor = open_predictor(WEIGHTS)
    slices = grey_slices[..., None].astype(np.float32) / 255
    out = export(predictor, name, tmp_path, side_px=128 if EXPORT_FORMATS.get(name).fixed_size else None)
    ours = {"mask": np.asarray(predictor.model.predict_on_batch(slices))}
    assert compare([ours], [EXPORT_FORMATS.get(name).run(out, slices)], [slices]).holds


# One of every family of encoders, and decoders that resize by what they see.
MODELS = [
    "unet_resnet18", "unet_resnet50v2", "unet_vgg16", "unet_densenet121", "unet_efficientnetb0",
    "unet_efficientnetlite0", "unet_convnexttiny", "unet_inceptionv3", "unet_mobilenetv3small", "unet_nasnetmobile",
    "pspnet_mobilenetv2", "upernet_mobilenetv2", "deeplabv3plus_mobilenetv2", "segformer_mobilenetv2",
    "pan_mobilenetv2", "unet3plus_mobilenetv2", "fpn_mobilenetv2", "manet_mobilenetv2",
]  # fmt: skip


def _pooled(image: Any) -> Any:
    return ResizeLike()([AdaptiveAveragePooling(3)(image), image])


def _doubled_twice(image: Any) -> Any:
    from keras import layers

    for _ in range(2):
        image = layers.Conv2D(4, 3, padding="same")(NearestUpsampling(2)(image))
    return image


@pytest.mark.parametrize("part", [_pooled, _doubled_twice])
def test_parts_of_decoders_become_litert(part: Callable[[Any], Any], tmp_path: Path) -> None:
    """Of whole networks the slow tests below make sure; here are the layers that its converter has trouble with."""
    import keras
    import tensorflow as tf

    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    image = keras.Input((None, None, 4))
    network = keras.Model(image, part(image))
    signature = [keras.InputSpec(shape=(None, 4, 5, 4), dtype="float32", name="image")]
    plain = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    file = str(tmp_path / "a.tflite")
    network.export(file, "litert", verbose=False, input_signature=signature, target_spec=plain)
    runner, batch = interpreter(file).get_signature_runner(), np.random.default_rng(0).random((1, 4, 5, 4), np.float32)
    (answer,) = runner(**{next(iter(runner.get_input_details())): batch}).values()
    assert answer == pytest.approx(np.asarray(network(batch)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["onnx", "litert"])
@pytest.mark.parametrize("model", MODELS)
def test_every_family(model: str, name: str, make_predictor: Callable[..., Predictor], tmp_path: Path) -> None:
    # Noise that does not grow from layer to layer of a deep network; the export compares by itself.
    export(make_predictor(sizes={}, deviation=0.001, name=model), name, tmp_path)
    assert (tmp_path / f"model{EXPORT_FORMATS.get(name).suffix}.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["onnx", "savedmodel", "npz"])
def test_a_volume(name: str, make_predictor: Callable[..., Predictor], tmp_path: Path) -> None:
    export(make_predictor(name="unet3d", in_slices=5), name, tmp_path)
