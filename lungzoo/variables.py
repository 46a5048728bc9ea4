"""Environment variables that TensorFlow reads when it is imported, for programs that are lungzoo's own."""

from __future__ import annotations

import os

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"

TENSORFLOW = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # By itself TensorFlow uses oneDNN on some of Intel's processors only; on AMD's a U-Net takes half the time with it.
    ONEDNN: "1",
}
"""What holds where the user has set nothing; a program that imports lungzoo chooses for itself."""


def set_defaults() -> None:
    """Set the variables that are not set, for this process and those that it starts."""
    for name, value in TENSORFLOW.items():
        os.environ.setdefault(name, value)
