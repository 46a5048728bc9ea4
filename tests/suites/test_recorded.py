"""A suite's records by what a person calls it."""

from types import SimpleNamespace
from typing import Any

import pytest

from lungzoo.errors import UnknownNameError, UsageError
from lungzoo.suites.compare.sides import load_side
from lungzoo.suites.recorded import is_recorded, recorded_suite

SHIPPED = "quick"


def store(**plans: Any) -> Any:
    """Return what opens a store in which these suites have run."""
    return lambda name: SimpleNamespace(uri="sqlite:///mlflow.db", last_plan=lambda: plans.get(name))


def test_a_suite_of_ones_own_is_known_by_the_name_in_its_file(tmp_path: Any) -> None:
    assert recorded_suite("mine", store(mine="plan"))[0] == "plan"
    file = tmp_path / "other.toml"
    arms = 'name = "mine"\ntitle = "T"\nseeds = [0]\n[[arms]]\nmodels = ["cnn_small"]\ntransfers = ["scratch"]\n'
    file.write_text(arms.replace("cnn_small", "unet_mobilenetv2"))
    assert recorded_suite(str(file), store(mine="plan"))[0] == "plan"


def test_a_shipped_suite_that_never_ran() -> None:
    with pytest.raises(UsageError) as caught:
        recorded_suite(SHIPPED, store())
    assert str(caught.value) == (
        "No run of suite 'quick' in sqlite:///mlflow.db. Start one with: lungzoo bench run quick"
    )


def test_a_name_that_nothing_has() -> None:
    with pytest.raises(UnknownNameError) as caught:
        recorded_suite("quik", store())
    assert str(caught.value) == (
        "Unknown suite 'quik'. Did you mean 'quick'? See: lungzoo list suites. Of your own, give the .toml file: none "
        "called 'quik' is recorded in sqlite:///mlflow.db"
    )


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"No suite file at 'mine\.toml'"):
        recorded_suite("mine.toml", store())


def test_a_suite_may_have_a_name_that_could_be_a_run() -> None:
    assert is_recorded("bad", store(bad="plan"))
    assert not is_recorded("bad", store())
    assert is_recorded(SHIPPED, store())


def test_nothing_is_no_name() -> None:
    with pytest.raises(UsageError, match="Nothing was named"):
        load_side("", store())
