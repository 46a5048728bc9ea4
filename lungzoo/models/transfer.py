"""Transfer recipes: where training starts, which parts train, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from lungzoo.config import TransferConfig
from lungzoo.errors import ConfigError, did_you_mean
from lungzoo.registry import Registry
from lungzoo.schema import Option


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one set of trainable parts; the decoder and the heads always train.

    A stage begins with a fresh optimiser and its own warm-up and decay: moments of parts that did not train before
    would start at zero beside an old step count, and Adam's first steps on them would be several times too long.

    Args:
        share: its share of all epochs, in (0, 1].
        encoder_levels: how many of the encoder's levels train, counted from the deepest; None for all, 0 for none.
            What does not train is frozen, BatchNorm statistics included.
        decay: factor of the learning rate per encoder level: the deepest has `decay`, the next `decay`², …
        calibrates: let BatchNorm statistics settle on training batches before the stage. Random weights with the
            initial statistics would give features that vanish or explode with depth.
    """

    share: float
    encoder_levels: int | None = None
    decay: float = 1.0
    calibrates: bool = False


class Recipe(ABC):
    """How pretrained weights are used.

    Attributes:
        title: human name, the heading in tables.
        about: one line more.
        start: "pretrained" where it makes no sense from random weights, "random" where it excludes others.
        options: settings with their defaults, all numbers in (0, 1].
        decoder: decoder that takes the place of the model's own, or None.
    """

    title: ClassVar[str]
    about: ClassVar[str]
    start: ClassVar[Literal["pretrained", "random"]] = "pretrained"
    options: ClassVar[Mapping[str, Option]] = {}
    decoder: ClassVar[str | None] = None

    @abstractmethod
    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """Return the stages in order; their shares add up to 1. `depth` is the number of encoder levels."""

    def check(self, transfer: TransferConfig) -> None:
        """Raise ConfigError unless weights and options fit the recipe."""
        name = transfer.recipe
        if self.start == "pretrained" and transfer.weights is None:
            raise ConfigError(
                f"Transfer recipe '{name}' needs pretrained weights, written before it, such as "
                f"'imagenet-{name}'. See which the encoder has: lungzoo list encoders"
            )
        if self.start == "random" and transfer.weights is not None:
            raise ConfigError(
                f"Transfer recipe '{name}' starts from random weights. Received: weights "
                f"'{transfer.weights}'. Write '{name}' alone, or '{transfer.weights}-finetune'."
            )
        for key, value in transfer.options:
            if key not in self.options:
                allowed = ", ".join(self.options) or "none"
                raise ConfigError(
                    f"Transfer recipe '{name}' has no option '{key}'.{did_you_mean(key, self.options)} "
                    f"Allowed: {allowed}."
                )
            if isinstance(value, (bool, str)) or not 0 < value <= 1:
                raise ConfigError(
                    f"Option '{key}' of transfer recipe '{name}' must be a number in (0, 1]. Received: {value!r}"
                )

    def plan(self, transfer: TransferConfig, depth: int) -> tuple[Stage, ...]:
        """Return the stages of a transfer."""
        return self.stages(depth, {**self.options, **dict(transfer.options)})


def schedule(stages: tuple[Stage, ...], epochs: int) -> list[tuple[Stage, int, int]]:
    """Return (stage, first epoch, end epoch); every epoch belongs to one stage, and every stage has at least one.

    Raises:
        ConfigError: there are more stages than epochs.
    """
    count = len(stages)
    if count > epochs:
        raise ConfigError(
            f"The transfer recipe has {count} stages, so train.epochs must be at least {count}. Received: {epochs}"
        )
    ends = np.round(np.cumsum([stage.share for stage in stages]) * epochs).astype(int)
    ends[-1] = epochs
    for number in range(count):
        ends[number] = max(ends[number], ends[number - 1] + 1 if number else 1)
        ends[number] = min(ends[number], epochs - (count - 1 - number))
    starts = [0, *ends[:-1]]
    return [(stage, int(start), int(end)) for stage, start, end in zip(stages, starts, ends, strict=True)]


RECIPES: Registry[Recipe] = Registry("recipe", "lungzoo.models.transfer", see="lungzoo list recipes")


class Scratch(Recipe):
    """The baseline of every comparison."""

    title = "From scratch"
    about = "Random weights, everything trains."
    start = "random"

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """One stage, all layers."""
        return (Stage(1.0),)


class FineTune(Recipe):
    """All layers from the first step on."""

    title = "Fine-tuned, all layers"
    about = "Pretrained weights, everything trains from the start."

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """One stage, all layers."""
        return (Stage(1.0),)


class Frozen(Recipe):
    """The pretrained encoder as a fixed feature extractor."""

    title = "Encoder frozen, decoder trained"
    about = "The encoder keeps its pretrained weights and statistics; decoder and heads train."

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """One stage, encoder frozen."""
        return (Stage(1.0, encoder_levels=0),)


class RandomFrozen(Frozen):
    """The control for `Frozen`: how much of its score is the decoder's own."""

    title = "Encoder random and frozen (control)"
    about = "As frozen, with random features (BatchNorm calibrated): what the decoder alone can learn."
    start = "random"

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """One stage, encoder frozen after its statistics have settled."""
        return (Stage(1.0, encoder_levels=0, calibrates=True),)


class LinearProbe(Frozen):
    """How linearly separable the lesion is in the pretrained features; Alain & Bengio 2016, arXiv:1610.01644."""

    title = "Linear probe"
    about = "Frozen encoder; only a linear read-out of its features trains, in place of the decoder."
    decoder = "linear"


class Staged(Recipe):
    """Decoder first, so that its early, random gradients do not spoil the encoder; then all."""

    title = "Decoder first, then all layers"
    about = "For `decoder_share` of the epochs the encoder is frozen, then everything trains."
    options: ClassVar[Mapping[str, Option]] = {"decoder_share": 0.3}

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """Two stages."""
        share = float(options["decoder_share"])
        return (Stage(share, encoder_levels=0), Stage(1 - share)) if share < 1 else (Stage(1.0, encoder_levels=0),)


class Gradual(Recipe):
    """Howard & Ruder 2018, arXiv:1801.06146, section 3.3."""

    title = "Gradual unfreezing"
    about = "Encoder levels join from the deepest up, over `unfreeze_share` of the epochs; then everything trains."
    options: ClassVar[Mapping[str, Option]] = {"unfreeze_share": 0.5}

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """Frozen, then one more level at a time; the last stage has all of them and the rest of the epochs."""
        share = float(options["unfreeze_share"])
        steps = tuple(Stage(share / depth, encoder_levels=levels) for levels in range(depth))
        return (*steps, Stage(1 - share)) if share < 1 else steps


class Discriminative(Recipe):
    """Howard & Ruder 2018, arXiv:1801.06146, section 3.2: early layers hold general features and change less."""

    title = "Discriminative learning rates"
    about = "Everything trains; the learning rate falls by `decay` per encoder level, from the deepest to the stem."
    options: ClassVar[Mapping[str, Option]] = {"decay": 0.5}

    def stages(self, depth: int, options: Mapping[str, Option]) -> tuple[Stage, ...]:
        """One stage with decaying rates."""
        return (Stage(1.0, decay=float(options["decay"])),)


for _name, _recipe in {
    "scratch": Scratch(),
    "finetune": FineTune(),
    "frozen": Frozen(),
    "random_frozen": RandomFrozen(),
    "linear_probe": LinearProbe(),
    "staged": Staged(),
    "gradual": Gradual(),
    "discriminative": Discriminative(),
}.items():
    RECIPES.add(_name, _recipe)
