"""Transfer recipes: which parts of a model train, and when."""

from __future__ import annotations

from dataclasses import dataclass

from lungzoo.config import TransferConfig
from lungzoo.errors import ConfigError
from lungzoo.registry import Registry


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one set of trainable parts.

    Args:
        share: its share of all epochs, in (0, 1].
        encoder_trains: False freezes the encoder, BatchNorm statistics included.
    """

    share: float
    encoder_trains: bool


@dataclass(frozen=True)
class Recipe:
    """How pretrained weights are used.

    Args:
        title: human name, the heading in tables.
        needs_weights: True where the recipe makes no sense from random weights, False where it excludes others.
        stages: in order; their shares add up to 1.
    """

    title: str
    needs_weights: bool
    stages: tuple[Stage, ...]

    def check(self, transfer: TransferConfig) -> None:
        """Raise ConfigError unless the transfer's weights fit the recipe."""
        if self.needs_weights and transfer.weights is None:
            raise ConfigError(
                f"Transfer recipe '{transfer.recipe}' needs pretrained weights. Write 'imagenet-{transfer.recipe}'."
            )
        if not self.needs_weights and transfer.weights is not None:
            raise ConfigError(
                f"Transfer recipe '{transfer.recipe}' starts from random weights. Received: weights "
                f"'{transfer.weights}'. Write '{transfer.recipe}' alone, or '{transfer.weights}-finetune'."
            )


RECIPES: Registry[Recipe] = Registry("recipe", "lungzoo.models.transfer", see="lungzoo list recipes")

RECIPES.add("scratch", Recipe("From scratch", False, (Stage(1.0, True),)))
RECIPES.add("finetune", Recipe("Fine-tuned, all layers", True, (Stage(1.0, True),)))
RECIPES.add("frozen", Recipe("Encoder frozen, decoder trained", True, (Stage(1.0, False),)))
