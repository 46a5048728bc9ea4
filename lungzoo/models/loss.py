"""A weighted sum of losses that a saved model remembers."""

from __future__ import annotations

from typing import Any

import keras

from lungzoo.config import LossTerm
from lungzoo.losses.combine import make_loss


@keras.saving.register_keras_serializable("lungzoo")
class CombinedLoss(keras.losses.Loss):
    """Weighted sum of registered losses, on logits.

    Args:
        terms: {"name", "weight", "options"} of each, as `LossTerm` has them.
    """

    def __init__(self, terms: list[dict[str, Any]], name: str = "combined_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.terms = terms
        self._loss = make_loss(tuple(LossTerm(**term) for term in terms))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(B, …, C) in {0, 1} and logits of that shape -> scalar."""
        return self._loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this loss."""
        return {**super().get_config(), "terms": self.terms}
