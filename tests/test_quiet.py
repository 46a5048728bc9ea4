"""Remarks of other libraries."""

import logging
import warnings

import pytest

from lungzoo.quiet import quiet


def remark_and_fail() -> None:
    with quiet("somebody"):
        logging.getLogger("somebody").warning("a remark")
        logging.getLogger("somebody").error("an error")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        raise KeyError


def test_only_errors_are_heard_and_what_was_set_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody")
    logger.setLevel(logging.INFO)
    with pytest.raises(KeyError):
        remark_and_fail()
    assert [record.message for record in caplog.records] == ["an error"]
    assert logger.level == logging.INFO
