"""Frozen, strict, hashable descriptions of an experiment; TOML in, fingerprint out.

An `ExperimentConfig` says everything that decides a result apart from the data. Together with the dataset's
fingerprint and `RESULTS_REVISION` it gives the run's fingerprint: same fingerprint, same run.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lungzoo.schema import Frozen, Options

# Raise this when a change alters the numbers that an unchanged config produces.
RESULTS_REVISION = 3

Normalisation = Literal["batch", "group", "instance"]
Attention = Literal["none", "scse"]
Upsampling = Literal["nearest", "bilinear", "transpose"]


class DataConfig(Frozen):
    """Which cases are used and how an image becomes numbers in [0, 1]."""

    window_hu: tuple[float, float] = (-1350.0, 150.0)
    """HU that map to 0 and 1; used only for datasets in HU (uint8 ones are divided by 255)."""
    consensus_readers: int = Field(2, ge=1, le=8)
    """A pixel is lesion where at least this many readers drew it (never more than the dataset has)."""
    disputed: Literal["drop", "keep"] = "drop"
    """Slices that some reader drew on but too few agree about: left out everywhere, or kept as lesion-free."""
    max_slices_per_volume: int | None = Field(None, ge=1)
    """Keep at most this many slices of each volume, those nearest to its middle."""
    val_fraction: float = Field(0.15, gt=0, lt=1)
    """Share of the patients in the validation split."""
    test_fraction: float = Field(0.15, gt=0, lt=1)
    """Share of the patients in the test split."""
    split_seed: int = Field(0, ge=0, lt=2**31)
    """Which patients are in the training, validation and test splits."""

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError(f"window_hu must rise from low to high. Received: {list(self.window_hu)}")
        if self.val_fraction + self.test_fraction >= 0.9:
            raise ValueError(
                "val_fraction + test_fraction must be below 0.9, to leave cases for training. "
                f"Received: {self.val_fraction} + {self.test_fraction}"
            )
        return self


class AugmentConfig(Frozen):
    """Random changes of a training case; image and mask move together."""

    shift_px: int = Field(0, ge=0)
    """Largest shift along each axis in pixels; the border is mirrored."""
    flip: bool = True
    """Mirror left-right and up-down, each with probability one half."""
    intensity: float = Field(0.1, ge=0, le=1)
    """Largest relative change of contrast and absolute change of brightness, image in [0, 1]."""


class ModelConfig(Frozen):
    """A row of the zoo with its sizes."""

    name: str = Field(min_length=1)
    """A row of the zoo, such as "unet_resnet50"."""
    encoder_options: Options = ()
    """Options that the encoder declares, such as `alpha` of MobileNetV2."""
    encoder_depth: int = Field(5, ge=2, le=5)
    """Number of pyramid levels used; level n is 2ⁿ times smaller than the input."""
    decoder_channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1)
    """Widths of the decoder, deepest first; None takes the decoder's own. See: lungzoo list decoders."""
    decoder_convs: int = Field(2, ge=1, le=4)
    """3×3 convolutions per decoder block."""
    decoder_norm: Normalisation = "batch"
    """Normalisation of the decoder: "batch", "group" (of 8 channels) or "instance"."""
    decoder_attention: Attention = "none"
    """Attention after each decoder block: "none" or "scse"."""
    decoder_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of feature channels dropped before the mask head while training."""
    decoder_upsampling: Upsampling = "nearest"
    """How the decoder's features grow: "nearest", "bilinear" or "transpose" (learned)."""
    deep_supervision: bool = False
    """Train auxiliary mask heads on coarser decoder levels; the weight of level n is 2⁻ⁿ."""
    in_channels: int = Field(1, ge=1)
    """Channels of a slice; CT has one."""
    in_slices: int = Field(1, ge=1, le=65)
    """Odd number of neighbouring slices seen at once: channels of a 2D model ("2.5D"), depth of a 3D model's patch."""
    classes: int = Field(1, ge=1)
    """Channels of the mask head: 1 is lesion or not (sigmoid), n are exclusive classes, background first (softmax)."""
    labels: tuple[str, ...] = ()
    """Names of the classes of the label head on the deepest level, such as ["benign", "malignant"]; empty for none."""

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.in_slices % 2 == 0:
            raise ValueError(f"in_slices must be odd: a slice and as many on either side. Received: {self.in_slices}")
        if len(self.labels) == 1 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels needs two or more different names, or none. Received: {list(self.labels)}")
        return self


class TransferConfig(Frozen):
    """Where the weights come from and which parts train. Short form: "imagenet-finetune"."""

    recipe: str = Field("scratch", min_length=1)
    """Which parts train, and when. See: lungzoo list recipes."""
    weights: str | None = Field(None, min_length=1)
    """None (random), an encoder's ("imagenet", "lidc"), or a whole model's: "lungzoo:NAME", "run:ID", a file."""
    options: Options = ()
    """Options that the recipe declares, such as `decay` of "discriminative"."""
    new_head: bool = False
    """With the weights of a whole model: start the heads anew, as other classes need."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Of the weights file; filled in before a run starts. Given beforehand, weights that have changed are refused."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        weights, dash, recipe = value.rpartition("-")
        return {"recipe": recipe, "weights": weights} if dash else {"recipe": value}

    @property
    def starts_from(self) -> Literal["nothing", "encoder", "lungzoo", "run", "file"]:
        """What kind of thing `weights` names."""
        if self.weights is None:
            return "nothing"
        if self.weights.startswith("lungzoo:"):
            return "lungzoo"
        if self.weights.startswith("run:"):
            return "run"
        return "file" if "/" in self.weights or "\\" in self.weights or "." in self.weights else "encoder"

    @property
    def slug(self) -> str:
        """The short form, used in arm names: "scratch", "imagenet-frozen", "imagenet-discriminative decay=0.5"."""
        options = "".join(f" {key}={value}" for key, value in self.options)
        return (f"{self.weights}-{self.recipe}" if self.weights else self.recipe) + options


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


class ExperimentConfig(Frozen):
    """One run: everything that decides its result apart from the dataset."""

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

    label: str = ""
    """Tells apart arms that share model and transfer but differ in other settings."""

    @property
    def arm(self) -> str:
        """Name of the arm without its seed: "unet_mobilenetv2 alpha=0.35 / imagenet-frozen"."""
        options = "".join(f" {key}={value}" for key, value in self.model.encoder_options)
        label = f" / {self.label}" if self.label else ""
        return f"{self.model.name}{options} / {self.transfer.slug}{label}"

    def fingerprint(self, dataset_fingerprint: str) -> str:
        """Return the run's identity, 64 hex digits."""
        text = f"{self.canonical()}\n{dataset_fingerprint}\nrevision {RESULTS_REVISION}"
        return hashlib.sha256(text.encode()).hexdigest()


class PhantomConfig(Frozen):
    """A built-in synthetic chest-CT dataset, made on first use."""

    patients: int = Field(40, ge=3)
    """Synthetic patients, one volume each."""
    slices_per_patient: int = Field(8, ge=2)
    """Slices of each volume."""
    size_px: int = Field(128, ge=64, le=512)
    """Height and width of a slice."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Which patients are drawn."""


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
    primary_metric: Literal["dice", "iou"] = "dice"
    """The metric that orders the table."""
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
