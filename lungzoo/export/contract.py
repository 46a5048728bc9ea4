"""What a kind of exported file is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungzoo.classifiers.second_stage import SecondStage
from lungzoo.registry import Registry
from lungzoo.weights.manifest import WeightsManifest

Outputs = dict[str, np.ndarray]
"""Logits by head: "mask" (B, H, W, classes), of a 3D model (B, D, H, W, classes); "label" (B, labels)."""


@dataclass(frozen=True)
class Job:
    """What a file is to be made of.

    Args:
        model: a `keras.Model` that gives `Outputs` and nothing else.
        whole: the `keras.Model` that it is part of, with auxiliary heads.
        manifest: of the weights.
        second: classifier of what the model marks; None without one, or where such a file cannot hold it.
        shape: of the file's input, batch first; None where any size goes.
        quantise: "float16", "int8", or None.
        samples: float32 (n, …) inputs like those it will see, for "int8"; else empty.
    """

    model: Any
    whole: Any
    manifest: WeightsManifest
    second: SecondStage | None
    shape: tuple[int | None, ...]
    quantise: str | None
    samples: np.ndarray


def _none_beside(path: Path) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file.

    Args:
        title: a line for people.
        suffix: what its name ends in; "" for a folder of any name.
        reader: what reads it.
        write: makes the file at a path, and what lies beside it.
        run: gives the answers of a file for a batch, read as others would.
        fixed_size: height and width are fixed when it is made.
        quantise: what it can be quantised to.
        packages: import names of packages of the extra "export" that it needs.
        any_backend: it is made from any Keras backend, not only TensorFlow.
        holds_second_stage: the classifier of what the model marks is in the file, too.
        beside: further files that `write` makes for a path.
    """

    title: str
    suffix: str
    reader: str
    write: Callable[[Job, Path], None]
    run: Callable[[Path, np.ndarray], Outputs]
    fixed_size: bool = False
    quantise: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    any_backend: bool = False
    holds_second_stage: bool = False
    beside: Callable[[Path], tuple[Path, ...]] = _none_beside


EXPORT_FORMATS: Registry[ExportFormat] = Registry("export format", "lungzoo.export.formats", "lungzoo list formats")
