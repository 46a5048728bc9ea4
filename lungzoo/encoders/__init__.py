"""Encoders: image in, feature pyramid out."""

from __future__ import annotations

from lungzoo.encoders.contract import EncoderSpec
from lungzoo.registry import Registry

ENCODERS: Registry[EncoderSpec] = Registry("encoder", "lungzoo.encoders", see="lungzoo list encoders")
