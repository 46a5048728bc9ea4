"""The models by name."""

from __future__ import annotations

from lungzoo.models.contract import ModelSpec
from lungzoo.registry import Registry

MODELS: Registry[ModelSpec] = Registry("model", "lungzoo.models.rows", see="lungzoo list models")
