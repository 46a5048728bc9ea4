"""Losses on logits. An entry is a function (y_true, y_pred, *, option=default, …) -> scalar tensor.

`y_pred` are logits (B, H, W, C) or (B, D, H, W, C), `y_true` has the same shape. With C = 1 the one channel is the
lesion (sigmoid) and `y_true` is in {0, 1}; with C > 1 the channels are exclusive classes, background first (softmax),
and `y_true` is one-hot. Every loss is at least 0, computes in float32 whatever it is given, and is written in
`keras.ops` alone, so it runs on every backend, compiled or not.

Losses of regions (all but `bce` and `focal`) are taken per case over the cases that have the lesion, then averaged over
the foreground classes: were silence on an empty case rewarded, training would end in silence everywhere. What they
cannot see, a false positive on an empty case, is the part of `bce` or `focal` beside them.

An option is a keyword-only parameter with a default; its annotation says its range, as in
`alpha: Annotated[float, Field(gt=0, lt=1)] = 0.25`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lungzoo.registry import Registry

Loss = Callable[..., Any]

LOSSES: Registry[Loss] = Registry("loss", "lungzoo.losses", see="lungzoo list losses")
