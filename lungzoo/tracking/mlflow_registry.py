"""A suite's chosen weights as a registered model: what `models:/<suite>@champion` means."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.exceptions import MlflowException

from lungzoo.quiet import quiet
from lungzoo.tracking import mlflow_served
from lungzoo.tracking.summary import Champion
from lungzoo.weights.manifest import read_manifest
from mlflow import MlflowClient

ALIAS = "champion"
_WEIGHTS_TAG, _MODEL_TAG = "weights_sha256", "model_id"
_EXAMPLE_SIDE_PX = 32


def register_version(
    client: MlflowClient, experiment_id: str, name: str, run_id: str, weights: Path, champion: Champion
) -> tuple[str, str, bool]:
    """Make the weights of a run a version of a registered model.

    Args:
        client: of the store.
        experiment_id: where the model is listed beside the runs.
        name: of the registered model.
        run_id: the run that the weights are of.
        weights: folder of weights and manifest.
        champion: what to say of them.

    Returns:
        The version, the id of its model, and whether it is new: the same weights stay the same version.

    Raises:
        MlflowException: the store has no registry of models, or none that this MLflow can use.
    """
    manifest = next(path for path in (weights / "manifest.json", weights / "manifest.toml") if path.is_file())
    sha256 = read_manifest(manifest).sha256
    with suppress(MlflowException):  # there already
        client.create_registered_model(name)
    known = [v for v in client.search_model_versions(f"name = '{name}'") if _MODEL_TAG in v.tags]
    same = [(v.version, v.tags[_MODEL_TAG]) for v in known if v.tags.get(_WEIGHTS_TAG) == sha256]
    if same:
        number, model_id = same[0]
    else:
        model = _log_model(client, experiment_id, name, run_id, weights, champion)
        number, model_id = _new_version(client, name, run_id, model, champion, sha256), model.model_id
    client.update_registered_model(name, champion.description)
    return str(number), model_id, not same


def register(
    client: MlflowClient, experiment_id: str, name: str, run_id: str, weights: Path, champion: Champion, suite_id: str
) -> tuple[str, bool]:
    """Make the weights of a suite's run a version of its registered model, and that version the champion.

    Args:
        client, experiment_id, name, run_id, weights, champion: see `register_version`.
        suite_id: the suite's run, which lists the model, too.

    Returns:
        The version, and whether it is new.

    Raises:
        MlflowException: see `register_version`.
    """
    number, model_id, new = register_version(client, experiment_id, name, run_id, weights, champion)
    outputs = client.get_run(suite_id).outputs
    if model_id not in [output.model_id for output in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(suite_id, [LoggedModelOutput(model_id, step=0)])
    client.set_registered_model_alias(name, ALIAS, number)
    return number, new


def _new_version(
    client: MlflowClient, name: str, run_id: str, model: LoggedModel, champion: Champion, sha256: str
) -> str:
    tags = {**champion.tags, _WEIGHTS_TAG: sha256, _MODEL_TAG: model.model_id}
    made = client.create_model_version(
        name,
        model.artifact_location,  # for "models:/<id>" MLflow would ask its global tracking URI, not this store
        run_id,
        tags,
        description=champion.description,
        await_creation_for=0,
        model_id=model.model_id,
    )
    listed = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": listed})
    return str(made.version)


def _log_model(
    client: MlflowClient, experiment_id: str, name: str, run_id: str, weights: Path, champion: Champion
) -> LoggedModel:
    run = client.get_run(run_id)
    tags = {**champion.tags, "mlflow.note.content": champion.description}
    model = client.create_logged_model(experiment_id, name, run_id, tags, run.data.params, model_type="segmentation")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            _save_model(folder, weights, champion, run_id, model.model_id)
            client.log_model_artifacts(model.model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.log_batch(run_id, metrics=_figures(run, model.model_id))
    return model


def _figures(run: Run, model_id: str) -> list[Metric]:
    """Return the final figures of a run as those of its model, whose own page shows them."""
    data = [given.dataset for given in run.inputs.dataset_inputs[:1]] if run.inputs else []
    about = {"dataset_name": data[0].name, "dataset_digest": data[0].digest} if data else {}
    now = int(time.time() * 1000)
    return [
        Metric(name, value, now, 0, model_id=model_id, run_id=run.info.run_id, **about)
        for name, value in run.data.metrics.items()
        if name.startswith(("test/", "val/best", "usage/"))
    ]


def _save_model(folder: Path, weights: Path, champion: Champion, run_id: str, model_id: str) -> None:
    """Write a folder that MLflow loads through lungzoo: a loader's name, the weights, what goes in and comes out."""
    with quiet("mlflow"):
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import Schema, TensorSpec

        numbers = np.dtype(np.float32)
        alone = len(champion.outputs) == 1
        answers = [TensorSpec(numbers, shape, None if alone else name) for name, shape in champion.outputs.items()]
        save_model(
            str(folder),
            loader_module=mlflow_served.__name__,
            model_config={mlflow_served.LOADER_KEY: champion.loader},
            data_path=str(weights),
            mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
            signature=ModelSignature(Schema([TensorSpec(numbers, champion.input_shape)]), Schema(answers)),
            input_example=example(champion.input_shape),
            pip_requirements=[f"lungzoo=={version('lungzoo')}"],
        )


def example(shape: tuple[int, ...]) -> np.ndarray:
    """Return a batch of one that a model takes: brightness that grows along the last side; nobody's scan."""
    sides = [1, *([_EXAMPLE_SIDE_PX] * (len(shape) - 2)), shape[-1]]
    ramp = np.linspace(0, 1, sides[-2], dtype=np.float32)[:, None]
    return np.broadcast_to(ramp, sides).copy()
