"""Keras's own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs


def write(job: Job, path: Path) -> None:
    """Save the model."""
    job.model.save(path)


def run(path: Path, batch: np.ndarray) -> Outputs:
    """Answer as Keras reads the file, without compiling it."""
    import keras

    answers = keras.saving.load_model(path, compile=False).predict_on_batch(batch)
    return {name: np.asarray(values) for name, values in answers.items()}


EXPORT_FORMATS.add(
    "keras",
    ExportFormat(
        title="Keras file",
        suffix=".keras",
        reader="Keras, where lungzoo was imported: padding and cropping are its layers",
        write=write,
        run=run,
        any_backend=True,
    ),
)
