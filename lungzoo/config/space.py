"""Search spaces, and what a search found."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lungzoo.config.model import TransferConfig
from lungzoo.schema import Frozen


class Parameter(Frozen):
    """One setting that a search varies: a list of choices, or a range."""

    choices: tuple[Any, ...] = ()
    """Values to choose from, of any kind that the setting takes."""
    low: int | float | None = None
    """Lower end of a range, included."""
    high: int | float | None = None
    """Upper end of a range, included. A range whose ends and step are whole numbers has whole numbers."""
    scale: Literal["linear", "log"] = "linear"
    """How a range is sampled: "log" for what matters by its order of magnitude, such as a learning rate."""
    step: int | float | None = Field(None, gt=0)
    """Distance between the values of a range; with scale "log", their ratio. None for any value."""
    when: dict[str, tuple[Any, ...]] = Field({}, max_length=1)
    """Vary the setting only where another parameter, a list of choices, has one of these values."""

    @model_validator(mode="after")
    def _check(self) -> Parameter:
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give either choices, or low and high")
        if self.choices:
            if any(
                choice in self.choices[:place] for place, choice in enumerate(self.choices)
            ):  # 0 equals 0.0 and false
                raise ValueError(f"choices must differ. Received: {list(self.choices)}")
            if self.scale != "linear" or self.step is not None:
                raise ValueError("scale and step belong to a range of low and high, not to choices")
            return self
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"low and high must both be given, and rise. Received: {self.low} and {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"scale 'log' needs a range above 0. Received: low = {self.low}")
        if self.scale == "log" and self.step is not None and self.step <= 1:
            raise ValueError(f"with scale 'log', step is a ratio and must be above 1. Received: {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether a range has whole numbers only."""
        ends = (self.low, self.high, 1 if self.step is None else self.step)
        return not self.choices and all(isinstance(end, int) for end in ends)


class SpaceConfig(Frozen):
    """A search space: which settings of an experiment vary, and within which limits."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Names the file, and by default the search."""
    title: str
    """Heading of the search's pages."""
    description: str = ""
    """What is varied and why."""
    parameters: dict[str, Parameter] = Field(min_length=1)
    """Limits by config key, such as "train.learning_rate"."""


class Provenance(Frozen):
    """Where tuned settings come from."""

    search: str
    """Name of the search."""
    space: str
    """Name of the search space."""
    tuner: str
    """The algorithm."""
    trials: int = Field(ge=1)
    """How many trials the search had, those that gave up or failed included."""
    epochs: int = Field(ge=1)
    """How many epochs all trials trained together."""
    train_seconds: float = Field(ge=0)
    """How long they trained together."""
    search_seed: int
    """Seed of the search."""
    train_seeds: tuple[int, ...]
    """Seeds that the trials trained with; a comparison should use others."""
    dataset: str
    """Name of the dataset."""
    dataset_fingerprint: str
    """Its fingerprint."""
    split_fingerprint: str
    """Fingerprint of the split whose validation part chose."""
    run: str = ""
    """Id of the best trial's run in the tracking store."""
    created: str = ""
    """Date, ISO 8601."""
    lungzoo_version: str = ""
    """Version of lungzoo that searched."""


class TunedConfig(Frozen):
    """What a search found: `recipe = "tuned:NAME"` in a suite."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Names the file and the arm."""
    model: str
    """The row of the zoo that was tuned."""
    baseline: TransferConfig
    """Transfer that the search set out from: what tuned settings are compared with."""
    settings: dict[str, Any] = Field(min_length=1)
    """The settings found, by config key; a suite's arm gets them on top of the suite's own."""
    val_dice: float = Field(ge=0, le=1)
    """Best validation Dice, the mean of its seeds: what chose it, so it is too good as an estimate."""
    val_curve: tuple[float, ...] = ()
    """Validation Dice after each epoch, of the first seed."""
    provenance: Provenance
    """Where the settings come from."""
    config: dict[str, Any] = Field({})
    """The whole experiment of the best trial, for the record."""
