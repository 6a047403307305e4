"""What holds for every method: it learns, and XLA makes the same of its step."""

import dataclasses

import numpy as np
import pytest

from tests.components.methods.forms import FORMS, TRAINED, build_form, method_input
from tests.components.training.trained import train_single
from twofold.components.encoders.convolutional.conv4_settings import Conv4Settings
from twofold.components.methods.build import MethodContext, build_method
from twofold.components.methods.contrastive.simclr import SimCLR
from twofold.components.methods.contrastive.simclr_settings import SimCLRSettings
from twofold.components.methods.settings import METHODS

# Compiling takes seconds; between them these have every kind of operation and of memory.
COMPILED = (
    "barlow_twins",
    "byol",
    "emp_ssl",
    "k_means",
    "nnclr",
    "self_training",
    "simclr, few negatives",
    "vae",
)


@pytest.mark.parametrize("form", FORMS)
def test_a_few_steps_lower_the_loss(form):
    losses = [metrics["loss"] for metrics in train_single(form)[0]]
    # A queue starts with random directions, which are easier to tell apart than images.
    assert np.mean(losses[-16:]) < np.mean(losses[4:20])


@pytest.mark.parametrize(
    "form",
    [form if form in COMPILED else pytest.param(form, marks=pytest.mark.long) for form in FORMS],
)
def test_a_step_compiled_whole_equals_a_plain_one(form):
    metrics, values = train_single(form, compiled=True, steps=1)
    expected_metrics, expected_values = train_single(form)
    # MoCo normalises two images at a time, whose gradient magnifies what rounds otherwise.
    assert metrics[0] == pytest.approx(expected_metrics[0], rel=5e-5, abs=1e-5)
    for name, expected in expected_values.items():
        # An update is of 0.01 at most.
        np.testing.assert_allclose(values[name], expected, rtol=1e-5, atol=5e-5, err_msg=name)


@pytest.mark.parametrize("form", TRAINED)
def test_networks_are_named_and_their_memory_is_apart(form):
    method = build_form(form)
    assert "encoder" in method.models
    assert not method.models.keys() & method.memory.keys()


@pytest.mark.parametrize("name", TRAINED)
def test_a_methods_traits_are_those_of_its_networks(name):
    method, settings = build_form(name), METHODS[name]
    assert ("head" in method.models) == settings.classifies
    assert tuple(method.pictures(method_input().images.numpy())) == settings.figures
    given = getattr(method, "views", None)
    assert given is None or len(given) == settings.view_policies


@pytest.mark.parametrize("name", TRAINED)
def test_a_setting_has_its_default_with_the_settings_alone(name):
    fields = dataclasses.fields(METHODS[name].load_implementation())
    settings = METHODS.defaults(name)
    assert not [one.name for one in fields if one.name in settings and has_default(one)]


def has_default(field):
    return field.default is not dataclasses.MISSING


def test_a_field_that_nothing_can_be_made_of_is_named(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Odd(SimCLR):
        temprature: float = dataclasses.field(kw_only=True)

    monkeypatch.setattr(SimCLRSettings, "load_implementation", staticmethod(lambda: Odd))
    context = MethodContext(Conv4Settings(width=2), (), (31, 31, 1), 2, 3, seed=0)
    with pytest.raises(
        ValueError, match=r"Odd\.temprature: expected a setting of this name in SimCLRSettings"
    ):
        build_method(SimCLRSettings(), context)
