"""What losses of regions share: probabilities, sums per case, and the mean over the cases with a lesion."""

from __future__ import annotations

from typing import Any

from lungzoo.errors import ConfigError

# Half a pixel of agreement for every case; with it, Dice = (2 I + 1) / (A + P + 1).
_SMOOTH_PX = 0.5


def as_float32(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return both in float32; raises ConfigError where rank, classes or sizes that are known differ."""
    from keras import ops

    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    sizes = zip(*shapes, strict=False)
    if len(shapes[0]) != len(shapes[1]) or any(a != b for a, b in sizes if a is not None and b is not None):
        raise ConfigError(
            f"A loss needs masks and logits of one shape. Received: masks {shapes[0]}, logits {shapes[1]}"
        )
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def foreground(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return (truth, probability), each (B, …, F): the lesion if C = 1, else all classes but the background."""
    from keras import ops

    y_true, y_pred = as_float32(y_true, y_pred)
    if y_pred.shape[-1] == 1:
        return y_true, ops.sigmoid(y_pred)
    return y_true[..., 1:], ops.softmax(y_pred)[..., 1:]


def case_sum(values: Any) -> Any:
    """Return the sum over each case's pixels: (B, …, F) to (B, F)."""
    from keras import ops

    return ops.sum(values, tuple(range(1, len(values.shape) - 1)))


def case_mean(values: Any) -> Any:
    """Return the mean over each case's pixels: (B, …, F) to (B, F)."""
    from keras import ops

    return ops.mean(values, tuple(range(1, len(values.shape) - 1)))


def mean_over_lesions(per_case: Any, truth: Any) -> Any:
    """Return the mean over the cases with each class, then over the classes that any case has; 0 if none has any.

    Args:
        per_case: (B, F), finite.
        truth: (B, …, F) in {0, 1}.
    """
    from keras import ops

    has_lesion = ops.cast(case_sum(truth) > 0, "float32")
    cases = ops.sum(has_lesion, 0)
    per_class = ops.sum(per_case * has_lesion, 0) / ops.maximum(cases, 1.0)
    return ops.sum(per_class) / ops.maximum(ops.sum(ops.cast(cases > 0, "float32")), 1.0)


def tversky_index(truth: Any, probability: Any, alpha: float, beta: float) -> Any:
    """Return (TP + ½) / (TP + alpha FP + beta FN + ½) per case, (B, F) in (0, 1], from soft counts of pixels.

    Dice is alpha = beta = ½ and Jaccard alpha = beta = 1, smoothed alike: Jaccard = Dice / (2 - Dice) to the letter.
    """
    true_positive = case_sum(truth * probability)
    false_positive = case_sum(probability) - true_positive
    false_negative = case_sum(truth) - true_positive
    errors = alpha * false_positive + beta * false_negative
    return (true_positive + _SMOOTH_PX) / (true_positive + errors + _SMOOTH_PX)
