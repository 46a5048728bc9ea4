"""Decoders: feature pyramid in, one feature map at input resolution out."""

from __future__ import annotations

from lungzoo.decoders.contract import DecoderSpec
from lungzoo.registry import Registry

DECODERS: Registry[DecoderSpec] = Registry("decoder", "lungzoo.decoders", see="lungzoo list decoders")
