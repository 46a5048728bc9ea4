"""From a recorded run to somebody else's model: a hub, MLflow, the command line; and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import lungzoo
from lungzoo.cli import app
from lungzoo.data.store import PreparedDataset
from lungzoo.errors import ConfigError, UsageError, WeightsUnavailable
from lungzoo.inference.members import open_members
from lungzoo.suites.sharing import publish as publishing
from lungzoo.suites.sharing.publish import Wishes, publish
from lungzoo.weights import hub
from lungzoo.weights.manifest import Inherited, read_manifest, write_manifest

NAME = "cnn_scratch-phantom-v1"


@pytest.fixture
def shelf(recorded: Any, tmp_path: Path) -> Path:
    """A hub with the run's weights under the name that they get by themselves."""
    publish(recorded.run_id, str(tmp_path / "hub"), Wishes(), recorded.tracker)
    return tmp_path / "hub"


def tuned(recorded: Any, folder: Path) -> Path:
    """The run's manifest as `lungzoo tune postprocess` changes it."""
    folder.mkdir()
    manifest = read_manifest(recorded.tracker.weights(recorded.run_id, folder) / "manifest.json")
    changes = {
        "score": {**manifest.protocol["score"], "threshold": 0.35},
        "postprocess": {"largest": 3},
        "tuned": {"validation_cases": 12, "threshold_of_metrics": 0.5},
    }
    changed = manifest.model_copy(update={"name": "any-tuned", "protocol": {**manifest.protocol, **changes}})
    write_manifest(changed, folder / "manifest.toml")
    return folder


def test_what_was_tuned_is_published_with_the_weights(recorded: Any, tmp_path: Path) -> None:
    folder, to = tuned(recorded, tmp_path / "tuned"), tmp_path / "hub"
    publish(recorded.run_id, str(to), Wishes(tuned=folder), recorded.tracker)
    with open_members([str(to / NAME)]) as (member,):
        assert (member.protocol.threshold, member.protocol.postprocess.largest) == (0.35, 3)
        assert member.manifest.name == NAME
    card = (to / NAME / "README.md").read_text()
    assert (
        "uses threshold 0.35 and steps, or none, that were chosen on 12 validation cases; the figures above are of the"
        in card
    )

    with pytest.raises(UsageError, match=r"is a folder\. Give the id of the run; what was tuned .* --tuned"):
        publish(str(folder), str(to), Wishes(), recorded.tracker)
    with pytest.raises(UsageError, match=r"has no manifest\.toml.*chose for an ensemble is for all members together"):
        publish(recorded.run_id, str(to), Wishes(tuned=tmp_path), recorded.tracker)
    member = read_manifest(folder / "manifest.toml")
    member.protocol["tuned"]["members"] = [member.sha256, "0" * 64]
    write_manifest(member, folder / "manifest.toml")
    with pytest.raises(UsageError, match=r"is one of 2 members of an ensemble\. .*chose for an ensemble is for all"):
        publish(recorded.run_id, str(to), Wishes(tuned=folder), recorded.tracker)
    other = member.model_copy(update={"sha256": "0" * 64})
    write_manifest(other, folder / "manifest.toml")
    with pytest.raises(UsageError, match="does not hold the weights of this run"):
        publish(recorded.run_id, str(to), Wishes(tuned=folder), recorded.tracker)


class Silent(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its log."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address(shelf: Path) -> Iterator[str]:
    """The hub, served."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(shelf)))
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def predictions(source: str) -> np.ndarray:
    with open_members([source]) as (member,):
        picture = np.random.default_rng(0).random((2, 48, 40, 1), "float32")
        return np.asarray(member.model(picture, training=False))


def test_from_a_run_to_the_same_predictions_elsewhere(
    recorded: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", recorded.uri)
    ours = predictions(f"run:{recorded.run_id[:12]}")
    monkeypatch.setenv("LUNGZOO_HUB", address)
    np.testing.assert_array_equal(predictions(NAME), ours)
    monkeypatch.setenv("LUNGZOO_OFFLINE", "1")
    np.testing.assert_array_equal(predictions(NAME), ours)
    np.testing.assert_array_equal(lungzoo.load(NAME).get_weights()[0], lungzoo.load(f"lungzoo:{NAME}").get_weights()[0])


def test_what_is_published(recorded: Any, shelf: Path) -> None:
    assert sorted(path.name for path in (shelf / NAME).iterdir()) == ["README.md", f"{NAME}.npz", "manifest.toml"]
    manifest = read_manifest(shelf / NAME / "manifest.toml")
    assert manifest.fault(shelf / NAME / manifest.file) is None
    assert (manifest.name, manifest.file, manifest.source) == (NAME, f"{NAME}.npz", "random")
    assert manifest.trained_on is not None
    counts = {part: len(getattr(manifest.trained_on.patients, part)) for part in ("train", "val", "test")}
    assert counts == recorded.record.split["patients"]
    assert manifest.metrics["dice"].mean == recorded.record.metrics["dice"]["mean"]
    assert manifest.protocol["train"]["epochs"] == 1
    assert manifest.lungzoo_version == lungzoo.__version__


def test_whom_the_manifest_names_is_counted_with_those_behind_its_start(shelf: Path) -> None:
    manifest = read_manifest(shelf / NAME / "manifest.toml")
    assert manifest.trained_on is not None
    own = manifest.trained_on.patients
    inherited = Inherited(train=("A", "B", own.train[0]), val=("C",), complete=True)
    about = manifest.trained_on.model_copy(update={"inherited": inherited})
    weights = object.__new__(publishing._Weights)
    weights.manifest, weights.wishes = manifest.model_copy(update={"trained_on": about}), Wishes()
    weights.record = SimpleNamespace(validation={"val_dice": 0.0})
    *facts, note = weights.facts
    assert facts == [len(own.train) + len(own.val) + len(own.test), 3, "CC0-1.0"]
    assert note.startswith("It found no lesion of the validation split")
    weights.record = SimpleNamespace(validation={"val_dice": 0.4})
    assert weights.facts[-1] == ""


def test_a_folder_of_a_hub_loads_by_its_path(shelf: Path) -> None:
    assert lungzoo.load(shelf / NAME).name == "cnn_scratch"
    assert lungzoo.load(shelf / NAME / f"{NAME}.npz").name == "cnn_scratch"


def test_the_lines_of_the_card_work(shelf: Path) -> None:
    card = (shelf / NAME / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace('"HUB"', repr(str(shelf)))
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["model"].name == "cnn_scratch"


def test_the_same_weights_once(recorded: Any, shelf: Path) -> None:
    def again(**wishes: Any) -> str:
        return publish(f"run:{recorded.run_id[:10]}", str(shelf), Wishes(**wishes), recorded.tracker).name

    told = rf"has these weights as '{NAME}'\. Replace them with --force, or publish them under another name, too, with"
    with pytest.raises(UsageError, match=told):
        again()
    with pytest.raises(UsageError, match=rf"has weights named '{NAME}'\. Give another name with --name, or"):
        again(name=NAME)
    assert again(name=NAME, force=True, title="Good") == NAME
    assert again(force=True, title="Better") == NAME
    assert again(name="other-v1") == "other-v1"
    index = json.loads((shelf / "index.json").read_text())
    assert [(entry["name"], entry["title"]) for entry in index["weights"]] == [
        (NAME, "Better"), ("other-v1", "cnn_scratch width=4 / scratch on Synthetic chest-CT phantom"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match=rf"as '{NAME}', 'other-v1'\. Replace them with --name and --force, or"):
        again(force=True)


def test_other_weights_get_the_next_number(recorded: Any, shelf: Path) -> None:
    values = json.loads((shelf / "index.json").read_text())
    values["weights"][0]["sha256"] = "0" * 64
    (shelf / "index.json").write_text(json.dumps(values))
    assert publish(recorded.run_id, str(shelf), Wishes(), recorded.tracker).name == "cnn_scratch-phantom-v2"


@pytest.mark.parametrize("name", ["../x", "A", "a/b", ".a", "a b"])
def test_names_that_are_none(name: str, recorded: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Weights are named in small letters, digits, dots, dashes and underscores"):
        publish(recorded.run_id, str(tmp_path / "hub"), Wishes(name=name), recorded.tracker)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("hf", "A Hugging Face repository is hf:ORG/NAME"),
        ("hf:name", "A Hugging Face repository is hf:ORG/NAME"),
        ("hf:org/name@v1", "are published to the main revision"),
        ("https://a.example/hub", r"are published to a folder, 'mlflow' or hf:ORG/NAME\. Received: 'https"),
    ],
)
def test_places_that_take_none(to: str, message: str, recorded: Any) -> None:
    with pytest.raises(ConfigError, match=message):
        publish(recorded.run_id, to, Wishes(), recorded.tracker)


def test_runs_that_are_not_published(recorded: Any, tmp_path: Path) -> None:
    def store(**changes: Any) -> Any:
        record = replace(recorded.record, **changes)
        return SimpleNamespace(find_run=lambda run: "abc", run_record=lambda run_id: record)

    with pytest.raises(UsageError, match=r"was failed: out of memory\. Only weights of finished runs are published"):
        publish("abc", str(tmp_path), Wishes(), store(status="failed", reason="out of memory."))
    with pytest.raises(UsageError, match="is a trial of a search: its test split was left shut"):
        publish("abc", str(tmp_path), Wishes(), store(trial={"number": 3}))
    with pytest.raises(UsageError, match="No run 'ffff'"):
        publish("run:ffff", str(tmp_path), Wishes(), recorded.tracker)
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_of_a_run(recorded: Any, tmp_path: Path) -> None:
    class Damaged:
        def __getattr__(self, name: str) -> Any:
            return getattr(recorded.tracker, name)

        def weights(self, run_id: str, folder: Path) -> Path:
            place: Path = recorded.tracker.weights(run_id, folder)
            (place / "weights.npz").write_bytes(b"x")
            return place

    with pytest.raises(WeightsUnavailable, match=r"are damaged \(1 bytes instead of \d+\)\. Nothing was published"):
        publish(recorded.run_id, str(tmp_path / "hub"), Wishes(), Damaged())  # type: ignore[arg-type]
    assert not (tmp_path / "hub").exists()


def test_to_mlflow(recorded: Any) -> None:
    from mlflow import MlflowClient

    done = publish(recorded.run_id, "mlflow", Wishes(licence="MIT"), recorded.tracker)
    assert done.place == "registered as version 1 of the model models:/cnn_scratch-phantom"
    again = publish(recorded.run_id, "mlflow", Wishes(), recorded.tracker)
    assert again.place == "already version 1 of the model models:/cnn_scratch-phantom"
    client = MlflowClient(recorded.uri)
    version = client.get_model_version("cnn_scratch-phantom", "1")
    assert version.description.startswith("# cnn_scratch width=4 / scratch on Synthetic")
    assert "Not a medical device" in version.description
    assert len(version.description) <= 5000
    assert (version.tags["dataset"], version.tags["licence"], version.run_id) == ("phantom", "MIT", recorded.run_id)
    assert float(version.tags["test_dice"]) == pytest.approx(recorded.record.metrics["dice"]["mean"], abs=1e-4)
    (model,) = client.search_logged_models([client.get_run(recorded.run_id).info.experiment_id])
    assert model.status == "READY"


def test_the_lines_of_the_card_in_mlflow_work(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    done = publish(recorded.run_id, "mlflow", Wishes(name="lines"), recorded.tracker)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", recorded.uri)
    card = MlflowClient(recorded.uri).get_registered_model("lines").description
    names: dict[str, Any] = {}
    exec(card.split("```python\n")[1].split("```")[0], names)
    picture = np.random.default_rng(0).random((2, 48, 40, 1), "float32")
    ours = np.asarray(names["model"](picture, training=False))
    line = card.split("```\nlungzoo predict ")[1].split("\n")[0]
    np.testing.assert_array_equal(predictions(line.partition("--weights ")[2]), ours)
    assert done.use[0] == f"lungzoo predict {line}"


def test_what_was_tuned_does_not_go_to_mlflow(recorded: Any, tmp_path: Path) -> None:
    folder = tuned(recorded, tmp_path / "tuned")
    with pytest.raises(UsageError, match=r"so --tuned does not go to 'mlflow'\. Publish what was tuned to a folder or"):
        publish(recorded.run_id, "mlflow", Wishes(name="never", tuned=folder), recorded.tracker)


def test_on_the_command_line(
    recorded: Any, phantom: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", recorded.uri)
    folder = tmp_path / "hub"

    def run(*arguments: str) -> Any:
        monkeypatch.setenv("LUNGZOO_HUB", "")
        return CliRunner().invoke(app, [*arguments], catch_exceptions=False, env={"COLUMNS": "200"})

    done = run("weights", "publish", recorded.run_id[:12], "--to", str(folder), "--name", "mine-v1")
    assert done.stdout.splitlines()[:3] == [
        f"Published 'mine-v1': {folder}/mine-v1, listed in {folder}/index.json.",
        "It names 12 patients as the dataset does; licence: CC0-1.0.",
        f"  lungzoo predict SCAN -o mask.nii.gz --weights mine-v1 --hub {folder}",
    ]
    assert "mine-v1" in run("weights", "list", "--hub", str(folder)).stdout
    assert "mine-v1" not in run("weights", "list").stdout
    assert run("weights", "where", "mine-v1", "--hub", str(folder)).stdout == f"{folder}/mine-v1/mine-v1.npz\n"
    assert "mine-v1: hub, intact" in run("weights", "verify", "mine-v1", "--hub", str(folder)).stdout
    assert "mine-v1.npz" in run("weights", "fetch", "mine-v1", "--hub", str(folder)).stdout
    split = [f"--set={key}={value}" for key, value in (("val_fraction", 0.2), ("test_fraction", 0.3))]
    audit = ["data", "audit", str(phantom.path), *split, "--no-near", "--weights", "mine-v1", "--hub", str(folder)]
    assert run(*audit).exit_code == 0
    leaky = run(*audit, "--seed", "1")
    assert leaky.exit_code == 1
    assert "patient seen by weights" in leaky.stdout


def test_names_are_looked_up_without_fetching(shelf: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lungzoo.models.load import find_manifest

    monkeypatch.setenv("LUNGZOO_HUB", address)
    assert find_manifest(NAME).name == NAME
    assert find_manifest(shelf / NAME).name == NAME
    assert not hub.weights_cache().exists()
