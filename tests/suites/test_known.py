"""What is known of weights, whatever they are called by."""

from __future__ import annotations

from typing import Any

import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.suites.known import manifest_of
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest

SHIPPED = "unet_mobilenetv2_035-lidc-v1"


class OneRun:
    """A tracker that knows one run, which trained the shipped weights."""

    def find_run(self, run: str) -> str:
        if run != "3f2a91":
            raise UsageError(f"No run '{run}' in the store.")
        return "3f2a91-whole"

    def weights_manifest(self, run_id: str) -> WeightsManifest:
        assert run_id == "3f2a91-whole"
        return hub.find(SHIPPED).model_copy(update={"name": "of-the-run"})


def shut() -> Any:
    raise AssertionError("The store was opened.")


def test_a_run_is_looked_up_in_the_store() -> None:
    store: Any = OneRun
    assert manifest_of("run:3f2a91", store).name == "of-the-run"
    with pytest.raises(UsageError, match=r"No run '9' in the store"):
        manifest_of("run:9", store)


@pytest.mark.parametrize("name", [SHIPPED, f"lungzoo:{SHIPPED}"])
def test_other_names_leave_the_store_shut(name: str) -> None:
    assert manifest_of(name, shut) == hub.find(SHIPPED)
    with pytest.raises(UnknownNameError, match=f"Did you mean '{SHIPPED}'"):
        manifest_of(name.replace("035", "053"), shut)
