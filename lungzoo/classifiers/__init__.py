"""Classifiers of a lesion that is marked already: the second stage of a run. One file each.

An entry is a `ClassifierSpec`. It turns a marked lesion into what it looks at (`describe`), learns from the lesions of
the training split (`fit`), and answers with a probability for each class.
"""

from __future__ import annotations

from lungzoo.classifiers.contract import ClassifierSpec
from lungzoo.registry import Registry

CLASSIFIERS: Registry[ClassifierSpec] = Registry(
    "classifier", "lungzoo.classifiers.kinds", see="lungzoo list classifiers"
)
