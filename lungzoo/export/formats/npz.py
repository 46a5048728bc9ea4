"""The weights file of lungzoo: arrays by the name of their variable, and the manifest that says whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs
from lungzoo.models.load import load
from lungzoo.weights.file import write_weights
from lungzoo.weights.manifest import write_manifest


def write(job: Job, path: Path) -> None:
    """Write the arrays of all heads and of a second stage, and the manifest beside them."""
    second = job.second.arrays() if job.second else None
    sha256 = write_weights(job.whole, path, "float16" if job.quantise else None, second)
    about = {"file": path.name, "url": (), "sha256": sha256, "size_bytes": path.stat().st_size}
    write_manifest(job.manifest.model_copy(update=about), path.with_suffix(".toml"))


def run(path: Path, batch: np.ndarray) -> Outputs:
    """Answer as `lungzoo.load` reads the file."""
    from lungzoo.export.heads import with_heads

    answers = with_heads(load(path)).predict_on_batch(batch)
    return {name: np.asarray(values) for name, values in answers.items()}


def _manifest(path: Path) -> tuple[Path, ...]:
    return (path.with_suffix(".toml"),)


EXPORT_FORMATS.add(
    "npz",
    ExportFormat(
        title="arrays of NumPy, with the architecture's settings as TOML",
        suffix=".npz",
        reader="NumPy; as a model lungzoo",
        write=write,
        run=run,
        quantise=("float16",),
        any_backend=True,
        holds_second_stage=True,
        beside=_manifest,
    ),
)
