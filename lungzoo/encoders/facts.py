"""Parameters and multiply-adds of every encoder, recorded in `facts.json` so that listings load no Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungzoo.encoders.contract import EncoderSpec

PATH = Path(__file__).with_name("facts.json")
SHAPE = (256, 256, 1)


@dataclass(frozen=True)
class Facts:
    """What an encoder costs, with its default options and all its levels.

    Args:
        params: parameters for an input of one channel, statistics of BatchNorm included.
        gmacs: billions of multiply-adds for one image of 256 × 256 pixels.
    """

    params: int
    gmacs: float


def recorded(name: str) -> Facts | None:
    """Return the recorded facts of an encoder, or None."""
    return _all().get(name)


def measure(spec: EncoderSpec) -> Facts:
    """Build an encoder and count; TensorFlow backend."""
    from lungzoo.encoders.contract import build_encoder
    from lungzoo.encoders.cost import count_macs

    encoder = build_encoder(spec, in_channels=SHAPE[-1], depth=int(spec.levels[-1][1:]))
    return Facts(encoder.count_params(), round(count_macs(encoder, SHAPE) / 1e9, 3))


def write_facts(names: Iterable[str] | None = None, report: Callable[[str, Facts], None] | None = None) -> None:
    """Measure encoders and write `facts.json`; all takes five to ten minutes on two cores.

    Args:
        names: those to measure; the record of the others stays. None measures all and drops what is gone.
        report: called with each name and its facts.
    """
    import keras

    from lungzoo.encoders import ENCODERS

    facts = {} if names is None else dict(_all())
    for name in ENCODERS.names() if names is None else names:
        facts[name] = measure(ENCODERS.get(name))
        keras.backend.clear_session()
        if report:
            report(name, facts[name])
    lines = [f"  {json.dumps(name)}: {json.dumps(asdict(facts[name]))}" for name in sorted(facts)]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    _all.cache_clear()


@cache
def _all() -> dict[str, Facts]:
    if not PATH.exists():
        return {}
    return {name: Facts(**entry) for name, entry in json.loads(PATH.read_text(encoding="utf-8")).items()}
