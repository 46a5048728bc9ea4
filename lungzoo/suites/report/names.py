"""Short names of arms: what all arms share is said once."""

from __future__ import annotations

from collections.abc import Sequence

_BETWEEN = " / "


def short_names(arms: Sequence[str]) -> tuple[dict[str, str], str]:
    """Return a short name of each arm, and what was left out of all of them ("" where nothing was).

    An arm is called "model / transfer"; where all share the model its name is the transfer, and the other way round.
    """
    parts = [arm.rpartition(_BETWEEN)[::2] for arm in arms]
    models, transfers = ({part[place] for part in parts} for place in (0, 1))
    if len(parts) > 1 and all(model for model, _ in parts):
        if len(models) == 1:
            return dict(zip(arms, (transfer for _, transfer in parts), strict=True)), next(iter(models))
        if len(transfers) == 1:
            return dict(zip(arms, (model for model, _ in parts), strict=True)), next(iter(transfers))
    return {arm: arm for arm in arms}, ""
