"""Keras learns of lungzoo's layers whichever is imported first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lungzoo
from lungzoo.serialisation import MODULES

PACKAGE = Path(lungzoo.__file__).parent


def test_every_module_that_registers_something_is_listed():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if re.search(r"^@keras\.saving\.register_keras_serializable", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.add(".".join(["lungzoo", *path.relative_to(PACKAGE).with_suffix("").parts]))
    assert found == set(MODULES)


ORDERS = [
    "import lungzoo, keras",
    *(
        pytest.param(order, marks=pytest.mark.slow)
        for order in ("import keras, lungzoo", "import lungzoo, tensorflow, keras")
    ),
]


@pytest.mark.parametrize("imports", ORDERS)
def test_the_layers_are_known(imports):
    code = f"{imports}\nprint('known', keras.saving.get_registered_object('lungzoo>PadToStride') is not None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert "known True" in done.stdout, done.stderr[-2000:]
