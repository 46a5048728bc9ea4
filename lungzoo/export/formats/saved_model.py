"""TensorFlow's SavedModel: a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungzoo.export.contract import EXPORT_FORMATS, ExportFormat, Job, Outputs
from lungzoo.export.heads import input_spec


def write(job: Job, path: Path) -> None:
    """Let Keras write the folder; its endpoint is `serve`."""
    job.model.export(str(path), format="tf_saved_model", verbose=False, input_signature=[input_spec(job.shape)])


def run(path: Path, batch: np.ndarray) -> Outputs:
    """Answer through TensorFlow alone."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))  # its variables live as long as it does
    return {name: np.asarray(values) for name, values in model.serve(batch).items()}


EXPORT_FORMATS.add(
    "savedmodel",
    ExportFormat(
        title="TensorFlow SavedModel, a folder",
        suffix="",
        reader="TensorFlow, TensorFlow Serving",
        write=write,
        run=run,
    ),
)
