"""The models by name: one row pairs an encoder with a decoder."""

from __future__ import annotations

from dataclasses import dataclass

from lungzoo.registry import Registry


@dataclass(frozen=True)
class ModelSpec:
    """One row of the zoo: registry names of an encoder and a decoder, and a line for people."""

    encoder: str
    decoder: str
    description: str


MODELS: Registry[ModelSpec] = Registry("model", "lungzoo.models.zoo", see="lungzoo list models")

for _name, _spec in {
    "unet_mobilenetv2": ModelSpec("mobilenetv2", "unet", "U-Net on MobileNetV2; any width through `alpha`"),
    "unet_resnet50": ModelSpec("resnet50", "unet", "U-Net on ResNet-50"),
    "unet_efficientnetb0": ModelSpec("efficientnetb0", "unet", "U-Net on EfficientNet-B0"),
    "cnn_scratch": ModelSpec("cnn", "unet", "Plain CNN U-Net, the baseline without pretraining"),
}.items():
    MODELS.add(_name, _spec)
