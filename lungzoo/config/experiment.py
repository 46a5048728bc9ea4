"""One run, and a suite of them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar

from pydantic import Field

from lungzoo.config.augment import AugmentConfig
from lungzoo.config.classify import ClassifyConfig
from lungzoo.config.data import DataConfig, PhantomConfig
from lungzoo.config.model import ModelConfig, TransferConfig
from lungzoo.config.train import ScoreConfig, TrainConfig
from lungzoo.schema import Frozen

# Raise this when a change alters the numbers that an unchanged config produces.
RESULTS_REVISION = 3


class ExperimentConfig(Frozen):
    """One run: everything that decides its result apart from the dataset."""

    later: ClassVar[tuple[str, ...]] = ("classify",)
    """See `Frozen`."""

    data: DataConfig = DataConfig()
    """Cases, splits and intensity window."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes of the training cases."""
    model: ModelConfig
    """The architecture and its sizes."""
    transfer: TransferConfig = TransferConfig()
    """Where weights come from and what trains."""
    train: TrainConfig = TrainConfig()
    """Optimisation."""
    score: ScoreConfig = ScoreConfig()
    """Evaluation."""
    classify: ClassifyConfig | None = None
    """A second stage that names the class of the lesion which the model has marked; none without it."""

    label: str = ""
    """Tells apart arms that share model and transfer but differ in other settings."""

    @property
    def arm(self) -> str:
        """Name of the arm without its seed: "unet_mobilenetv2 alpha=0.35 / imagenet-frozen"."""
        options = "".join(f" {key}={value}" for key, value in self.model.encoder_options)
        second = f" / {self.classify.slug}" if self.classify else ""
        label = f" / {self.label}" if self.label else ""
        return f"{self.model.name}{options} / {self.transfer.slug}{second}{label}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that a run predicts, by its label head or by its second stage; () for none."""
        return self.classify.labels if self.classify else self.model.labels

    def fingerprint(self, dataset_fingerprint: str) -> str:
        """Return the run's identity, 64 hex digits; a split that is pinned counts by its content, not its path."""
        data = self.data.model_copy(update={"split_file": None}) if self.data.split_sha256 else self.data
        canonical = self.model_copy(update={"data": data}).canonical()
        text = f"{canonical}\n{dataset_fingerprint}\nrevision {RESULTS_REVISION}"
        return hashlib.sha256(text.encode()).hexdigest()


class ArmsConfig(Frozen):
    """A block of a suite: every model with every transfer, on top of the suite's own settings."""

    models: tuple[str, ...] = Field(min_length=1)
    """Rows of the zoo."""
    transfers: tuple[TransferConfig, ...] = Field((TransferConfig(),), min_length=1)
    """Transfers, each applied to every model of the block."""
    label: str = ""
    """Appended to the arms' names where other settings than model and transfer differ."""
    model: dict[str, Any] = Field({})
    """Model settings of this block, on top of the suite's."""
    train: dict[str, Any] = Field({})
    """Training settings of this block, on top of the suite's."""
    classify: ClassifyConfig | None = None
    """The second stage of this block's runs; none without it."""


class SuiteConfig(Frozen):
    """A comparison: arms × seeds on one dataset under one protocol."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Names the file, the tracking experiment and the results folder."""
    title: str
    """Heading of the report."""
    description: str = ""
    """What is compared and why."""
    phantom: PhantomConfig | None = None
    """The built-in dataset of the suite; without it `--data` is required."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field((0,), min_length=1)
    """Training seeds; each arm runs once per seed."""
    primary_metric: str = "dice"
    """The metric that the table leads with and arms are compared by; see `lungzoo list metrics`."""
    data: DataConfig = DataConfig()
    """Cases, splits and intensity window."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes of the training cases."""
    model: dict[str, Any] = Field({})
    """Model settings shared by all arms: any key of ModelConfig but `name`."""
    train: TrainConfig = TrainConfig()
    """Optimisation."""
    score: ScoreConfig = ScoreConfig()
    """Evaluation."""
    arms: tuple[ArmsConfig, ...] = Field(min_length=1)
    """Blocks of models and transfers; their union is the comparison."""
