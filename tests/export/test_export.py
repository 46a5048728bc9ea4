"""What is refused, and what is left behind when an export fails: nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lungzoo.classifiers import CLASSIFIERS
from lungzoo.classifiers.contract import Examples
from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.cli import app
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ExportError, UnknownNameError, UsageError
from lungzoo.export import export as exporting
from lungzoo.export.contract import EXPORT_FORMATS
from lungzoo.export.examples import of_dataset, of_phantom
from lungzoo.export.export import Request, check_request, export_weights
from lungzoo.inference.predictor import Predictor, open_predictor
from lungzoo.weights.manifest import Patients, TrainedOn


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"kind": "onnx", "quantise": "int8"},
            r"--to onnx does not go with --quantize int8\. Allowed: litert",
        ),
        ({"kind": "npz", "quantise": "int8"}, r"Allowed: litert \(float16, int8\); npz \(float16\)\."),
        ({"kind": "litert", "out": Path("a.tflite"), "quantise": "int8"}, r"--quantize int8 needs --data DIR"),
        ({"kind": "onnx", "side_px": 256}, r"--to onnx takes slices of any size\. Leave --size 256 out\."),
        ({"kind": "keras"}, r"The name of a file for --to keras ends in \.keras\. Received: .*a\.onnx"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    values = {"kind": "onnx", "out": Path("a.onnx"), **settings}
    with pytest.raises(UsageError, match=words):
        check_request(Request(**{**values, "out": tmp_path / values["out"]}))


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown export format 'onx'\. Did you mean 'onnx'\? See: lung"):
        check_request(Request("onx", tmp_path / "a.onnx"))


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_missing_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"which is not installed: pip install 'lungzoo\[export\]'"):
        check_request(Request(name, tmp_path / f"a{EXPORT_FORMATS.get(name).suffix}"))


def test_what_is_there_stays(tmp_path: Path) -> None:
    for name in ("a.npz", "b.toml", "c.npz.json"):
        (tmp_path / name).write_text("mine")
        out = tmp_path / f"{name[0]}.npz"
        with pytest.raises(UsageError, match=rf"{name} exists already\. Choose another name, or replace it with"):
            check_request(Request("npz", out))
        check_request(Request("npz", out, force=True))
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(UsageError, match=r"d\.npz exists already and is another folder, which is not replaced"):
        check_request(Request("npz", tmp_path / "d.npz", force=True))


def test_a_path_without_a_name() -> None:
    with pytest.raises(UsageError, match=r"An export needs a name\. Received: \.\. Give one such as model\."):
        check_request(Request("savedmodel", Path()))


def test_a_folder_that_is_no_saved_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"mine exists already and is another folder, which is not replaced"):
        check_request(Request("savedmodel", tmp_path / "mine", force=True))
    with pytest.raises(UsageError, match=r"thesis\.tex exists already and is a file, which is not replaced"):
        check_request(Request("savedmodel", tmp_path / "mine" / "thesis.tex", force=True))


def test_size_must_be_known(tiny: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--to litert fixes height and width, .* Give --size PX, such as 256"):
        export_weights(tiny, Request("litert", tmp_path / "a.tflite"))
    with pytest.raises(UsageError, match=r"'tiny' was trained on slices of 96×128 pixels\. Give --size PX"):
        export_weights(seen(tiny, (96, 128)), Request("litert", tmp_path / "a.tflite"))
    assert list(tmp_path.iterdir()) == []


def seen(predictor: Predictor, slice_px: tuple[int, int]) -> Predictor:
    about = TrainedOn(dataset="crops", slice_px=slice_px)
    return replace(predictor, manifest=predictor.manifest.model_copy(update={"trained_on": about}))


@pytest.mark.parametrize(
    ("slice_px", "asked", "on_data", "side_px"),
    [
        ((96, 96), None, False, 96),
        ((96, 96), 40, False, 40),
        ((48, 48), None, True, 48),
        ((96, 96), None, True, 64),  # the slices of the dataset are 64×64
    ],
)
def test_a_fixed_size_is_that_of_the_training(
    slice_px: tuple[int, int],
    asked: int | None,
    on_data: bool,
    side_px: int,
    tiny: Predictor,
    phantom: PreparedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EXPORT_FORMATS._entries, "npz", replace(EXPORT_FORMATS.get("npz"), fixed_size=True))
    request = Request("npz", tmp_path / "a.npz", asked, data=phantom.path if on_data else None)
    assert export_weights(seen(tiny, slice_px), request).shape == (None, side_px, side_px, 1)


def test_slices_must_be_large_enough(tiny: Predictor, phantom: PreparedDataset) -> None:
    examples = of_dataset(tiny, phantom.path, samples=False)
    assert examples.side_px == (64, 64)
    assert examples.cut(40).shown.shape == (4, 40, 40, 1)
    with pytest.raises(UsageError, match=r"--size 128 is more than the slices of .* have: 64×64\. Give a smaller size"):
        examples.cut(128)


def with_other_answers(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> None:
    monkeypatch.setitem(EXPORT_FORMATS._entries, "npz", replace(EXPORT_FORMATS.get("npz"), run=run))


def test_a_file_that_answers_differently_is_not_kept(
    tiny: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = EXPORT_FORMATS.get("npz").run
    with_other_answers(monkeypatch, lambda path, batch: {"mask": run(path, batch)["mask"] * np.float32(1.001)})
    with pytest.raises(ExportError, match=r"'tiny' as npz answers differently: by up to .*; allowed are 0\.0001"):
        export_weights(tiny, Request("npz", tmp_path / "a.npz"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda batch: {}, r"does not run: the output 'mask' of the file is missing\. Nothing was written"),
        (lambda batch: {"mask": batch[:, :-1]}, r"has the shape \(4, 127, 128, 1\) instead of \(4, 128, 128, 1\)"),
        (lambda batch: {"mask": batch * np.float32("nan")}, r"has values that are not finite"),
        (lambda batch: 1 / 0, r"'tiny' became a\.npz, but does not run: division by zero"),
    ],
)
def test_a_file_that_does_not_run_is_not_kept(
    answer: Callable[..., Any], words: str, tiny: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_other_answers(monkeypatch, lambda path, batch: answer(batch))
    (tmp_path / "a.npz").write_text("what was there")
    with pytest.raises(ExportError, match=words):
        export_weights(tiny, Request("npz", tmp_path / "a.npz", force=True))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_text() == "what was there"


def test_patients_that_figures_come_from_are_not_looked_at(tiny: Predictor, phantom: PreparedDataset) -> None:
    """Of another split than the weights', so that their test patients lie in its training and validation splits."""
    plain = of_dataset(tiny, phantom.path, samples=True)
    everyone = tuple(sorted(set(phantom.cases["patient"])))
    held = replace(
        tiny,
        manifest=tiny.manifest.model_copy(
            update={"trained_on": TrainedOn(dataset="phantom", patients=Patients(test=everyone))}
        ),
    )
    assert len(plain.samples) > 10
    with pytest.raises(UsageError, match=r"were scored on all patients of the val split of .*; nothing is left"):
        of_dataset(held, phantom.path, samples=True)


def test_a_made_up_chest_of_any_size(make_predictor: Callable[..., Predictor]) -> None:
    predictor = make_predictor(in_slices=3)
    assert of_phantom(predictor, None).shown.shape == (4, 128, 128, 3)
    assert of_phantom(predictor, 600).cut(600).shown.shape == (4, 600, 600, 3)
    assert of_phantom(predictor, 32).cut(32).shown.shape == (4, 32, 32, 3)


def test_command(tiny_weights: Path, tmp_path: Path) -> None:
    """The second time what is there is refused."""
    out = tmp_path / "model.npz"
    command = ["export", str(tiny_weights), "--to", "npz", "-o", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "MB, input any×any×any, 1 channel) with model.toml and model.npz.json." in result.output
    assert "Answers differ from lungzoo's by up to 0 in logits, 0 in probability" in result.output
    assert json.loads((tmp_path / "model.npz.json").read_text())["weights"]["name"] == "tiny"
    with pytest.raises(UsageError, match="exists already"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_second_stage_stays_in_lungzoos_own_files(tiny: Predictor, tmp_path: Path) -> None:
    spec = CLASSIFIERS.get("boosted_features")
    options = spec.checked_options({"min_samples_leaf": 2, "max_iter": 3})
    inputs, none = np.random.default_rng(0).normal(size=(12, 21)).astype(np.float32), np.zeros(0, int)
    fitted = spec.fit(Examples(inputs, np.arange(12) % 2), Examples(inputs[:0], none), 2, options, 0)
    second = SecondStage(spec, ("benign", "malignant"), options, fitted, np.array([0.5, 0.5]))
    manifest = tiny.manifest.model_copy(update={"second_stage": second.entry()})
    predictor = replace(tiny, manifest=manifest, made=second)
    for kind, name, left_out in (("npz", "a.npz", ""), ("keras", "a.keras", "boosted_features")):
        assert export_weights(predictor, Request(kind, tmp_path / name)).left_out == left_out
    again = open_predictor(tmp_path / "a.npz").second
    assert again is not None
    assert again.fitted.probabilities(inputs) == pytest.approx(fitted.probabilities(inputs), abs=1e-6)


def test_an_ensemble_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    folder = tiny_weights if tiny_weights.is_dir() else tiny_weights.parent
    for member in ("member-0", "member-1"):
        shutil.copytree(folder, tmp_path / "both" / member)
    (tmp_path / "both" / "tuned.json").write_text("{}")
    command = ["export", str(tmp_path / "both"), "--to", "npz", "-o", str(tmp_path / "a.npz")]
    with pytest.raises(UsageError, match=r"both' is an ensemble of 2 models, and a file holds one\. Give a folder"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["both"]


def test_list_of_formats() -> None:
    result = CliRunner().invoke(app, ["list", "formats", "--json"], catch_exceptions=False)
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert set(rows) == {"keras", "litert", "npz", "onnx", "savedmodel"}
    assert rows["litert"]["quantize"] == ["float16", "int8"]
