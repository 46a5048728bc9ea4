"""What tests in more than one room need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with sample datasets and encoder weights; the test is skipped where it is absent.

    `LUNGZOO_SHARED` names it; otherwise it is `shared` beside the checkout.
    """
    named = os.environ.get("LUNGZOO_SHARED")
    path = Path(named) if named else ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip(f"no shared test data at {path}; set LUNGZOO_SHARED to the folder that has it")
    return path
