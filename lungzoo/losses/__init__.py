"""Losses on logits. An entry is a function (y_true, y_pred) -> scalar tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lungzoo.registry import Registry

Loss = Callable[[Any, Any], Any]

LOSSES: Registry[Loss] = Registry("loss", "lungzoo.losses", see="lungzoo list losses")
