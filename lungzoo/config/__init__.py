"""Frozen, strict, hashable descriptions of an experiment; TOML in, fingerprint out.

An `ExperimentConfig` says everything that decides a result apart from the data. Together with the dataset's
fingerprint and `RESULTS_REVISION` it gives the run's fingerprint: same fingerprint, same run.
"""

from __future__ import annotations

from lungzoo.config.augment import AUGMENT_PRESETS, AugmentConfig, without_preset
from lungzoo.config.changes import changed, experiment_of
from lungzoo.config.classify import ClassifyConfig
from lungzoo.config.data import WINDOWS_HU, DataConfig, PhantomConfig, Window
from lungzoo.config.experiment import RESULTS_REVISION, ArmsConfig, ExperimentConfig, SuiteConfig
from lungzoo.config.model import Attention, ModelConfig, Normalisation, TransferConfig, Upsampling
from lungzoo.config.space import Parameter, Provenance, SpaceConfig, TunedConfig
from lungzoo.config.train import LossTerm, LossTerms, ScoreConfig, TrainConfig

__all__ = [
    "AUGMENT_PRESETS",
    "RESULTS_REVISION",
    "WINDOWS_HU",
    "ArmsConfig",
    "Attention",
    "AugmentConfig",
    "ClassifyConfig",
    "DataConfig",
    "ExperimentConfig",
    "LossTerm",
    "LossTerms",
    "ModelConfig",
    "Normalisation",
    "Parameter",
    "PhantomConfig",
    "Provenance",
    "ScoreConfig",
    "SpaceConfig",
    "SuiteConfig",
    "TrainConfig",
    "TransferConfig",
    "TunedConfig",
    "Upsampling",
    "Window",
    "changed",
    "experiment_of",
    "without_preset",
]
