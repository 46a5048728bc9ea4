"""The second stage of a run: what names the class of the lesion that the first stage has marked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lungzoo.schema import Frozen, Options


class ClassifyConfig(Frozen):
    """A second stage: a classifier of the lesion that the trained model has marked. Without it a run has one stage."""

    name: str = Field(min_length=1)
    """A registered classifier. See: lungzoo list classifiers"""
    labels: tuple[str, ...] = Field(min_length=2, max_length=64)
    """Names of the classes, in their order, such as ["benign", "malignant"]; cases with another label are left out."""
    options: Options = ()
    """Options that the classifier declares, such as `crop_px` of "crop_cnn"."""
    train_masks: Literal["predicted", "reference"] = "predicted"
    """Masks of the training and validation cases; those of the test cases are always the predicted ones."""

    @model_validator(mode="after")
    def _check(self) -> ClassifyConfig:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels needs different names. Received: {list(self.labels)}")
        return self

    @property
    def slug(self) -> str:
        """What it is called in arm names: "crop_cnn crop_px=48"."""
        options = "".join(f" {key}={value}" for key, value in self.options)
        return self.name + options + (" reference masks" if self.train_masks == "reference" else "")
