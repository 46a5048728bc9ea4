"""Weighted sums, and what is said of options that do not fit."""

import subprocess
import sys

import numpy as np
import pytest

from lungzoo.config import LossTerm
from lungzoo.errors import ConfigError, UnknownNameError
from lungzoo.losses.bce import bce
from lungzoo.losses.combine import check_terms, make_loss
from lungzoo.losses.dice import dice
from lungzoo.losses.focal import focal

DICE_FOCAL = (LossTerm(name="dice"), LossTerm(name="focal", weight=0.5, options={"gamma": 3.0}))


def term(name: str, **options) -> tuple[LossTerm, ...]:
    return (LossTerm(name=name, options=options),)


def test_the_sum_is_weighted(undecided):
    expected = float(dice(*undecided)) + 0.5 * float(focal(*undecided, gamma=3.0))
    assert float(make_loss(DICE_FOCAL)(*undecided)) == pytest.approx(expected, rel=1e-6)


def test_one_term_of_weight_one_is_the_loss_itself(undecided):
    assert float(make_loss(term("bce"))(*undecided)) == float(bce(*undecided))


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (term("dice_ce"), "dice_ce"),
        (DICE_FOCAL, "dice + 0.5 focal(gamma=3.0)"),
        (term("tversky", beta=0.8, alpha=0.2), "tversky(alpha=0.2, beta=0.8)"),
    ],
)
def test_the_name_says_what_it_is(terms, name):
    assert make_loss(terms).__name__ == name


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((), "A loss needs at least one term. Received: none. See: lungzoo list losses"),
        (
            term("focal", gama=2.0),
            "Loss 'focal' has no option 'gama'. Did you mean 'gamma'? Allowed: gamma, alpha.",
        ),
        (term("dice", gamma=2.0), "Loss 'dice' has no option 'gamma'. Allowed: none."),
        (term("focal", alpha=1.0), "Option 'alpha' of loss 'focal' must be less than 1. Received: 1.0"),
        (term("tversky", beta=0), "Option 'beta' of loss 'tversky' must be greater than 0. Received: 0"),
        (term("focal", gamma="2"), "Option 'gamma' of loss 'focal' must be a valid number. Received: '2'"),
        (term("focal", gamma=True), "Option 'gamma' of loss 'focal' must be a valid number. Received: True"),
    ],
)
def test_options_that_do_not_fit(terms, message):
    for check in (check_terms, make_loss):
        with pytest.raises(ConfigError) as error:
            check(terms)
        assert str(error.value) == message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_options_must_be_finite(value):
    unchecked = LossTerm.model_construct(name="focal", weight=1.0, options=(("gamma", value),))
    with pytest.raises(ConfigError, match="Option 'gamma' of loss 'focal' must be a finite number"):
        check_terms((unchecked,))


def test_a_whole_number_is_a_number(undecided):
    assert float(make_loss(term("focal", gamma=2))(*undecided)) == float(focal(*undecided))


def test_unknown_losses():
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'dise'\. Did you mean 'dice'\?"):
        check_terms((*DICE_FOCAL, *term("dise")))


def test_checking_loads_no_keras():
    code = (
        "import sys; from lungzoo.config import LossTerm; from lungzoo.losses.combine import check_terms\n"
        "check_terms((LossTerm(name='hausdorff_dt', options={'alpha': 1.5}),)); print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_fits_with_it(jit_compile):
    import keras

    terms = (*DICE_FOCAL, *term("hausdorff_dt"))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1)])
    model.compile(keras.optimizers.Adam(0.5), loss=make_loss(terms), jit_compile=jit_compile)
    mask = np.zeros((4, 8, 8, 1), "float32")
    mask[1:, 2:5, 3:6] = 1
    losses = model.fit(mask, mask, batch_size=4, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
