"""An HDF5 file seen from this process, which never opens it itself."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lungzoo.data.confined import command, environment, signal_name
from lungzoo.data.hdf5.process import cpu_s
from lungzoo.errors import DatasetError


@dataclass(frozen=True)
class StoredDataset:
    """A dataset of the file: its path within, its shape and its type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return self.shape[0]


class Hdf5File:
    """A file that another process has open for us, with bounds on its memory and on the time that each step takes.

    Args:
        path: of the file. Use it as a context manager.

    Raises:
        DatasetError: on entering: there is no such file, or it is no HDF5. By every method: what it asks for is not
            there, leads out of the file or is damaged, or reading it hangs or crashes the library.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        if self._path.is_dir():
            raise DatasetError("a folder. Give one HDF5 file; images in a folder are read by the reader folder")
        if not self._path.is_file():
            raise DatasetError("no such file. Give one HDF5 file")
        try:
            self._process = subprocess.Popen(
                [*command("lungzoo.data.hdf5.process"), str(self._path.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
            )
        except OSError as error:
            raise DatasetError(f"Cannot start the process that reads {self._path}: {error}.") from None
        try:
            self._answer()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def dataset(self, name: str) -> StoredDataset:
        """Return a dataset by its path within the file."""
        says, _ = self._ask("find", name)
        return StoredDataset(says["name"], tuple(says["shape"]), np.dtype(says["dtype"]))

    def texts(self, name: str) -> list[str]:
        """Return a dataset of one text or whole number per row."""
        return [str(text) for text in self._ask("texts", name)[0]["texts"]]

    def blocks(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Yield (first row, rows of each dataset) in order, in blocks of a few MiB, or of one row where that is more.

        One iteration at a time: a second one ends the first.
        """
        self._ask("blocks", *names)
        while True:
            says, arrays = self._ask("next")
            if says["start"] is None:
                return
            yield says["start"], *arrays

    def _ask(self, do: str, *names: str) -> tuple[dict[str, Any], list[np.ndarray]]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, "names": names}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise DatasetError(self._why()) from None
        return self._answer()

    def _answer(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise DatasetError(self._why())
        says = json.loads(line)
        if "refused" in says:
            raise DatasetError(says["refused"])
        return says, [self._array(dtype, shape) for dtype, shape in says["arrays"]]

    def _array(self, dtype: str, shape: list[int]) -> np.ndarray:
        assert self._process.stdout is not None
        kind = np.dtype(dtype)
        data = self._process.stdout.read(math.prod(shape) * kind.itemsize)
        if len(data) != math.prod(shape) * kind.itemsize:
            raise DatasetError(self._why())
        return np.frombuffer(data, kind).reshape(shape)

    def _why(self) -> str:
        code = self._process.wait()
        name = signal_name(code) if code < 0 else f"code {code}"
        if name == "SIGXCPU":
            took = f"reading it took more than {cpu_s(self._path.stat().st_size)} s of processor time and was stopped"
        else:
            took = f"the HDF5 library ended with {name}"
        return f"the file is damaged: {took}. h5dump or h5repack may say where"

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
