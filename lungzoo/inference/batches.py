"""Runs a model over inputs batch by batch; where memory runs out, by smaller batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lungzoo.errors import LungzooError
from lungzoo.metrics.probabilities import named_outputs, sigmoid, softmax

Answers = tuple[np.ndarray, np.ndarray | None]
"""Probability of lesion, float32 like the input without its channels; and of each label, (B, labels), or None."""
Model = Callable[[np.ndarray], Answers]


class MemoryRanOut(LungzooError):
    """A single input, or a whole scan, is too large for the memory."""


def answers_of(model: Any) -> Model:
    """Return a function from input batches to probabilities.

    Args:
        model: a `keras.Model` of `build_model`.
    """

    def answer(batch: np.ndarray) -> Answers:
        outputs = named_outputs(model.predict_on_batch(batch))
        labels = softmax(np.asarray(outputs["label"], np.float32)) if "label" in outputs else None
        return _lesion(np.asarray(outputs["mask"], np.float32)), labels

    return answer


class Batches:
    """Cuts inputs into batches that fit the memory.

    Args:
        model: see `answers_of`.
        size: inputs per batch to begin with.
        tell: is given a line where a batch did not fit.
    """

    def __init__(self, model: Model, size: int, tell: Callable[[str], None]) -> None:
        self._model, self.size, self._tell, self._shape = model, size, tell, ""

    def __call__(self, inputs: np.ndarray) -> Answers:
        """Return the answers for inputs (n, …).

        Raises:
            MemoryRanOut: a batch of one does not fit either.
        """
        return self.made(len(inputs), lambda part: inputs[part])

    def made(self, count: int, make: Callable[[slice], np.ndarray]) -> Answers:
        """Return the answers for inputs that are made batch by batch, which may take more memory than they do.

        Args:
            count: of the inputs.
            make: gives those of a span, (n, …).

        Raises:
            MemoryRanOut: a batch of one does not fit either.
        """
        done: list[Answers] = []
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            try:
                done.append(self._answer(make(slice(start, stop))))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._halve()
            else:
                start = stop
        labels = [label for _, label in done if label is not None]
        return np.concatenate([mask for mask, _ in done]), np.concatenate(labels) if labels else None

    def _answer(self, part: np.ndarray) -> Answers:
        """Fill the last batch up: another size would build the network's graph anew."""
        self._shape = " of " + "×".join(map(str, part.shape[1:]))
        short = self.size - len(part)
        if not short:
            return self._model(part)
        mask, labels = self._model(np.concatenate([part, np.repeat(part[-1:], short, axis=0)]))
        return mask[: len(part)], None if labels is None else labels[: len(part)]

    def _halve(self) -> None:
        if self.size == 1:
            raise MemoryRanOut(
                f"Memory ran out on a single input{self._shape}. Cut slices into smaller tiles, such as --tile 256, or "
                "free some memory."
            )
        self.size //= 2
        self._tell(f"Memory ran out; going on with batches of {self.size}.")


@contextmanager
def memory_named() -> Iterator[None]:
    """Name what runs out where a scan is read, put together or written: MemoryRanOut in the place of other errors."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        line = str(error).strip().partition("\n")[0].rstrip(".")
        reason = f" ({line})" if line else ""
        raise MemoryRanOut(
            f"Memory ran out{reason}. Free some memory, or give the scan in parts of fewer slices."
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of NumPy, TensorFlow or JAX says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, MemoryError) or "ResourceExhaustedError" in names or "RESOURCE_EXHAUSTED" in str(error)


def _lesion(logits: np.ndarray) -> np.ndarray:
    """(…, 1) -> sigmoid; (…, classes), background first -> what is not background."""
    if logits.shape[-1] == 1:
        return sigmoid(logits[..., 0])
    return np.asarray(1 - softmax(logits)[..., 0])
