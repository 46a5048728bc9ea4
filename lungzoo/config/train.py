"""Losses, the training loop, scoring."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lungzoo.schema import Frozen, Options


class LossTerm(Frozen):
    """One loss of a weighted sum."""

    name: str = Field(min_length=1)
    """A registered loss."""
    weight: float = Field(1.0, gt=0)
    """Its factor in the sum."""
    options: Options = ()
    """Options that the loss declares, such as `alpha` of "tversky"."""


def _loss_terms(value: Any) -> Any:
    """Read "dice_ce", {dice = 1.0, focal = {weight = 0.5, gamma = 3.0}} or a list of terms."""
    if isinstance(value, str):
        return ({"name": value},)
    if not isinstance(value, dict):
        return value
    terms = []
    for name, setting in value.items():
        if isinstance(setting, dict):
            options = {key: option for key, option in setting.items() if key != "weight"}
            terms.append({"name": name, "weight": setting.get("weight", 1.0), "options": options})
        else:
            terms.append({"name": name, "weight": setting})
    return tuple(terms)


LossTerms = Annotated[tuple[LossTerm, ...], BeforeValidator(_loss_terms), Field(min_length=1)]


class TrainConfig(Frozen):
    """One training loop for every arm."""

    epochs: int = Field(20, ge=1)
    """Passes over the training split."""
    batch_size: int = Field(16, ge=1)
    """Cases per training step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Highest learning rate, reached after the warm-up."""
    weight_decay: float = Field(1e-4, ge=0)
    """Decoupled weight decay of the optimiser."""
    warmup_epochs: float = Field(0.5, ge=0)
    """Linear warm-up before the cosine decay, in epochs."""
    loss: LossTerms = (LossTerm(name="dice_ce"),)
    """A registered loss, or several by weight: `{dice = 1.0, focal = {weight = 0.5, gamma = 3.0}}`."""
    label_weight: float = Field(0.2, ge=0)
    """Weight of the label head's cross-entropy beside the mask loss; used only with `model.labels`."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many epochs without a better validation Dice; None trains all epochs."""
    batchnorm_momentum: float = Field(0.9, gt=0, lt=1)
    """Momentum of the moving statistics while training, alike in every arm."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Number format of the computation; weights stay float32."""
    deterministic: bool = True
    """Bit-equal repetition on the same machine; TensorFlow then runs one operation at a time, each on all cores."""
    jit_compile: bool = False
    """Compile the training step with XLA; slower on CPU."""
    train_seed: int = Field(0, ge=0, lt=2**31)
    """Initial weights, order of cases and augmentation."""


class ScoreConfig(Frozen):
    """How the held-out cases are scored."""

    threshold: float = Field(0.5, gt=0, lt=1)
    """A pixel is predicted lesion where its probability is at least this."""
    min_lesion_px: int = Field(1, ge=1)
    """Smallest consensus area that counts as a case with a lesion; smaller non-empty ones are left out."""
    shift_px: int = Field(0, ge=0)
    """Validation and test crops are shifted by up to this much, fixed per case by `split_seed`."""
    bootstrap_draws: int = Field(2000, ge=100)
    """Patient resamples behind each confidence interval."""
