"""The runs of an arm as members of an ensemble."""

from types import SimpleNamespace

import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.suites.compare.members import arm_weights

FROZEN = "unet_mobilenetv2 / imagenet-frozen"


def opened(study):
    return lambda name: SimpleNamespace(
        last_plan=lambda: study.suite, find=study.tracker.find, artifacts=study.tracker.artifacts
    )


def test_every_seed_of_an_arm_by_its_whole_or_short_name(large_study):
    tracker = large_study.tracker
    kept = [tracker.folder / f"imagenet-frozen-{seed}-None".ljust(64, "0") / "weights" for seed in range(3)]
    for folder in kept[:2]:
        folder.mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"The weights of 1 of 3 runs of '.*frozen' are gone, such as those of seed 2\."
    ):
        arm_weights(f"quick/{FROZEN}", opened(large_study))
    kept[2].mkdir(parents=True)
    assert arm_weights(f"quick/{FROZEN}", opened(large_study)) == [str(folder) for folder in kept]
    assert arm_weights("quick/imagenet-frozen", opened(large_study)) == [str(folder) for folder in kept]


def test_what_is_not_there(large_study, study):
    with pytest.raises(UsageError, match=r"An arm of a suite is named suite:NAME/ARM\. Received: 'suite:quick'"):
        arm_weights("quick", opened(large_study))
    with pytest.raises(UnknownNameError, match=r"Unknown arm 'imagenet-frosen'\. Did you mean 'imagenet-frozen'"):
        arm_weights("quick/imagenet-frosen", opened(large_study))
    study.plan("random_frozen")
    with pytest.raises(UsageError, match=r"No run of '.*random_frozen' is finished\. Go on with: lungzoo bench run q"):
        arm_weights("quick/unet_mobilenetv2 / random_frozen", opened(study))
