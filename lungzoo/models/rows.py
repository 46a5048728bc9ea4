"""Fills the zoo; a provider is one line here."""

from __future__ import annotations

from lungzoo.models import pairs, segmentation_models, volumes
from lungzoo.models.zoo import MODELS

for _provider in (pairs, segmentation_models, volumes):
    for _name, _spec in _provider.rows().items():
        MODELS.add(_name, _spec)
