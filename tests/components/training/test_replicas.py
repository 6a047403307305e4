"""Any number of replicas trains as one device does on the same global batch."""

import numpy as np
import pytest

from tests.components.methods.forms import FORMS, TRAINED, build_form
from tests.components.training.trained import assert_alike, float64, train, train_on
from tests.strategies import strategy_of
from twofold.components.training.step import StepSettings

# A graph of replicas takes seconds to trace, and one of four twice as many as one of two: of the
# forms that gather rows, and of those that add up what each replica has, one trains on four, and
# whatever goes wrong on two goes wrong on these four as well.
FOUR = ("barlow_twins", "simclr")


def _long(form):
    return pytest.param(form, marks=pytest.mark.long)


@pytest.fixture(autouse=True, scope="module")
def _float64():
    with float64():
        yield


def test_every_method_has_a_form():
    assert {name for name, _ in FORMS.values()} == set(TRAINED)


@pytest.mark.parametrize("form", [_long(form) if form in FOUR else form for form in FORMS])
def test_two_replicas_equal_one_device(form):
    assert_alike(train_on(2, form), train_on(1, form))


@pytest.mark.parametrize("form", [form if form in FOUR else _long(form) for form in FORMS])
def test_four_replicas_equal_one_device(form):
    assert_alike(train_on(4, form), train_on(1, form))


@pytest.mark.parametrize("form", FORMS)
def test_training_moves_every_network(form):
    _, trained = train_on(1, form)
    for name, model in build_form(form).models.items():
        for index, variable in enumerate(model.variables):
            assert not np.array_equal(trained[f"{name}/{index}"], variable), variable.path


def test_accumulation_and_clipping_on_two_replicas_equal_those_on_one():
    settings = StepSettings(seed=11, accumulate=2, clip_norm=0.05)
    one = train(strategy_of(1), "nnclr", settings)
    assert_alike(train(strategy_of(2), "nnclr", settings), one)
    assert all(metrics["gradient_norm"] > 0.05 for metrics in one[0]), "the bound was reached"
