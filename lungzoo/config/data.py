"""Cases, splits and how an image becomes numbers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from lungzoo.errors import did_you_mean
from lungzoo.schema import Frozen

# Level and width in HU: lung -600/1500, mediastinum 50/350, bone 400/1800.
# Source: Murphy et al., Windowing (CT), Radiopaedia.org, doi:10.53347/rID-52108.
WINDOWS_HU = {"lung": (-1350.0, 150.0), "mediastinum": (-125.0, 225.0), "bone": (-500.0, 1300.0)}


def _window(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in WINDOWS_HU:
        raise ValueError(
            f"unknown window.{did_you_mean(value, WINDOWS_HU)} Received: '{value}'. Allowed: "
            f"{', '.join(WINDOWS_HU)}, or a pair of HU"
        )
    return WINDOWS_HU[value]


Window = Annotated[tuple[float, float], BeforeValidator(_window)]


class DataConfig(Frozen):
    """Which cases are used and how an image becomes numbers in [0, 1]."""

    later: ClassVar[tuple[str, ...]] = ("labels",)
    """See `Frozen`."""

    window_hu: tuple[float, float] = (-1350.0, 150.0)
    """HU that map to 0 and 1; used only for datasets in HU (uint8 ones are divided by 255)."""
    windows: tuple[Window, ...] = Field((), max_length=8)
    """Windows that become the channels of a slice, in the place of `window_hu`: names (lung, mediastinum, bone) or
    pairs of HU. `model.in_channels` must be their number."""
    normalise: Literal["window", "zscore"] = "window"
    """Whether 0 and 1 are the window's ends, or three standard deviations of the training split around its mean."""
    preprocess: tuple[Literal["lung_mask", "lung_crop", "clahe"], ...] = ()
    """Steps before the window: "lung_mask" (air outside the lung fields), "lung_crop" (the lungs of a whole slice fill
    the image), "clahe" (local contrast)."""
    spacing_mm: float | None = Field(None, gt=0)
    """Resample every slice to this distance between pixels; None leaves it as it is."""
    size_px: int | None = Field(None, ge=16)
    """Height and width that slices are cropped, padded or, without `spacing_mm`, scaled to; None keeps theirs."""
    consensus_readers: int = Field(2, ge=1, le=8)
    """A pixel is lesion where at least this many readers drew it (never more than the dataset has)."""
    disputed: Literal["drop", "keep"] = "drop"
    """Slices that some reader drew on but too few agree about: left out everywhere, or kept as lesion-free."""
    max_slices_per_volume: int | None = Field(None, ge=1)
    """Keep at most this many slices of each volume, those nearest to its middle."""
    labels: tuple[str, ...] = ()
    """Use only slices with one of these labels; empty takes all. The split of the patients does not depend on it."""
    val_fraction: float = Field(0.15, gt=0, lt=1)
    """Share of the patients in the validation split."""
    test_fraction: float = Field(0.15, gt=0, lt=1)
    """Share of the patients in the test split."""
    split_seed: int = Field(0, ge=0, lt=2**31)
    """Which patients are in the training, validation and test splits."""
    split: Literal["random", "published"] = "random"
    """Whether test patients are dealt, or are those that the dataset's publishers set aside."""
    split_file: str | None = Field(None, min_length=1)
    """A split saved as JSON, in the place of all other settings of the split."""
    split_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Fingerprint of the split where it comes from `split_file` or near-duplicates; filled in before a run starts. A
    split that has changed since is refused."""
    folds: int | None = Field(None, ge=2)
    """Deal patients into this many folds, one of which is the test split; `test_fraction` then has no part in it."""
    fold: int = Field(0, ge=0)
    """Which fold is the test split, from 0."""
    inner_folds: int | None = Field(None, ge=2)
    """Deal the patients outside the test split into this many folds, one of which is for validation."""
    inner_fold: int = Field(0, ge=0)
    """Which inner fold is the validation split, from 0."""
    groups: Literal["patient", "near", "case"] = "patient"
    """What stays together: a patient's slices ("patient"), or those of all patients that near-duplicates link ("near").
    Where the source names no patients, "patient" means "near", and "case" lets each image go its own way."""
    stratify: Literal["slices", "lesion"] = "slices"
    """What parts resemble each other in, beside the label: slices per patient, or size of the largest lesion."""

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        for key, window in (("window_hu", self.window_hu), *(("windows", each) for each in self.windows)):
            if window[0] >= window[1]:
                raise ValueError(f"{key} must rise from low to high. Received: {list(window)}")
        if self.val_fraction + self.test_fraction >= 0.9:
            raise ValueError(
                "val_fraction + test_fraction must be below 0.9, to leave cases for training. "
                f"Received: {self.val_fraction} + {self.test_fraction}"
            )
        return self


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
