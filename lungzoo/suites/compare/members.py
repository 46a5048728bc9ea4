"""The runs of an arm, as members of an ensemble."""

from __future__ import annotations

from lungzoo.errors import UsageError
from lungzoo.suites.compare.sides import load_side
from lungzoo.suites.recorded import OpenTracker


def arm_weights(name: str, open_tracker: OpenTracker) -> list[str]:
    """Return the folder with the weights of every finished run of an arm: all its seeds, and all its folds.

    Args:
        name: "NAME/ARM"; the suite by its name or the path of its file, the arm whole or as short as tables have it.
        open_tracker: from a suite's name to the store of its records.

    Raises:
        UsageError: no such suite or arm, or no run of it is finished.
    """
    suite, arm = _parts(name)
    if not suite or not arm:
        raise UsageError(f"An arm of a suite is named suite:NAME/ARM. Received: 'suite:{name}'")
    side = load_side(f"{suite}:{arm}", open_tracker)
    runs = sorted(side.arms[0].finished, key=lambda record: (record.fold or 0, record.seed))
    if not runs:
        raise UsageError(f"No run of '{side.arms[0].arm}' is finished. Go on with: lungzoo bench run {suite}")
    fingerprints = [record.fingerprint for record in runs]
    found = open_tracker(side.plan.name).artifacts(fingerprints, "weights")
    if lost := [record for record in runs if record.fingerprint not in found]:
        raise UsageError(
            f"The weights of {len(lost)} of {len(runs)} runs of '{side.arms[0].arm}' are gone, such as those of seed "
            f"{lost[0].seed}. Name the others with run:ID."
        )
    return [str(found[fingerprint]) for fingerprint in fingerprints]


def _parts(name: str) -> tuple[str, str]:
    """Part a suite from its arm; the path of a file may have slashes of its own, and an arm anywhere."""
    suite, ending, arm = name.partition(".toml/")
    if ending:
        return f"{suite}.toml", arm
    suite, _, arm = name.partition("/")
    return suite, arm
