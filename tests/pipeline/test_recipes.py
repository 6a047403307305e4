"""Recipes: each can be loaded, and says how it is run."""

import pytest

from twofold.components.errors import ConfigError
from twofold.components.evaluation.metrics import unknown_names
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.recipes import (
    describe_recipe,
    expected_results,
    load_recipe,
    recipe_names,
)


def test_the_promised_recipes_are_there() -> None:
    published = {"stl10_simclr", "stl10_nnclr", "cifar10_barlow_twins", "cifar10_consistency"}
    study = {
        "simclr",
        "best",
        "study",
        "bias_study",
        "supervised",
        "random",
        "vae",
        "two_negatives",
    }
    promised = {
        "quickstart",
        "folder_simclr",
        "cifar10_emp_ssl",
        "cifar10_hour",
        "cifar10_simclr_hour",
        "cifar10_consistency_corrected",
        "cifar10_self_training_study",
        "imagenette_hour",
        *published,
        *(f"{name}_cpu" for name in published),
        "stl10_nnclr_long",
        "cifar10_barlow_twins_corrected",
    }
    assert promised | {f"dsprites_{name}" for name in study} == set(recipe_names())
    assert recipe_names() == sorted(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_carries_its_name_and_its_command(name: str) -> None:
    config = load_recipe(name)
    assert isinstance(config, RunConfig)
    assert config.name == name
    assert f"twofold run {name}" in describe_recipe(name)


# What each recipe has in place of its paper's heads, and how its description says so.
DEVIATIONS: dict[str, tuple[dict[str, object], str]] = {
    "quickstart": ({"projector": ()}, "no projection head, other than the paper"),
    "dsprites_simclr": ({"projector": ()}, "no projection head, as the paper has"),
    "stl10_nnclr": (
        {
            "projector": (128, 128),
            "projector_batch_norm": False,
            "predictor": (),
            "queue_size": 10_000,
            "neighbour_gradient": True,
        },
        "The paper has a projector of three batch-normalised layers, a prediction head, a queue of",
    ),
    "cifar10_barlow_twins": ({"projector": (5000, 5000, 5000)}, "projector has layers of 8,192"),
    "cifar10_emp_ssl": (
        {"projector": (256,), "projector_batch_norm": False, "patches": 8},
        "The paper has 20 patches and a projector with a hidden layer",
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_recipe_sets_and_states_what_is_not_as_in_its_paper(name: str) -> None:
    settings, statement = DEVIATIONS[name]
    method = load_recipe(name).method.model_dump()
    assert {key: method[key] for key in settings} == settings
    assert statement in " ".join(describe_recipe(name).split())


@pytest.mark.parametrize("name", [name for name in recipe_names() if "cpu" in name])
def test_a_recipe_for_cpus_trains_by_the_method_of_the_published_one(name: str) -> None:
    of = {"stl10_nnclr_cpu": "stl10_nnclr_long"}.get(name, name.removesuffix("_cpu"))
    small, published = load_recipe(name), load_recipe(of)
    assert small.method.name == published.method.name
    assert small.views.policy == published.views.policy
    assert small.training.epochs < published.training.epochs
    assert small.data.source.name == "folder"


@pytest.mark.parametrize("name", recipe_names())
def test_what_a_recipe_expects_is_of_known_metrics_and_of_settings_it_can_have(name: str) -> None:
    expected = expected_results(name)
    assert expected
    assert unknown_names(one.metric for one in expected) == []
    for one in expected:
        bounds = [one.low, one.value, one.high]
        known = [bound for bound in bounds if bound is not None]
        assert known == sorted(known)
        assert (one.low is None) == (one.high is None)
        assert one.seeds
        override(load_recipe(name), [*one.protocol.settings, *one.settings])


@pytest.mark.parametrize("name", recipe_names())
def test_nothing_published_stands_beside_a_probe_that_the_publication_does_not_use(
    name: str,
) -> None:
    """None of the five trains a probe until it converges, or takes nearest neighbours."""
    ours = ("linear_probe/", "linear_probe_", "knn/")
    for one in expected_results(name):
        assert one.published is None or not one.metric.startswith(ours)


def test_an_expected_result_says_how_it_was_measured_and_what_it_is_held_against() -> None:
    one = Expected(
        "recipe_probe/test_accuracy",
        0.95,
        0.94,
        0.96,
        seeds=(0, 1),
        published=0.9,
        untrained=(0.4, 0.5),
        tuned=True,
        settings=("training.epochs=3",),
        note="so far",
    )

    assert one.sentence == (
        "recipe's probe: 95.00% (94.00% to 96.00%); seeds 0, 1; --set training.epochs=3; "
        "untrained 40.00% to 50.00%; published 90.00%; settings tuned on the reported images; "
        "so far"
    )
    alone = Expected("knn/test_accuracy", 0.5)
    assert alone.sentence == "kNN: 50.00%; seed 0; untrained not measured"
    assert one.holds(0.94)
    # 3,969 of 3,970 images are 99.97 %, as the bound is written.
    assert Expected("knn/test_accuracy", 0.9990, low=0.9980, high=0.9997).holds(3969 / 3970)
    assert not one.holds(0.97)
    assert Expected("pretrain/loss", None).text == "not yet measured"
    assert Expected("pretrain/loss", 3.0).holds(3.0) is None


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    for look_up in (load_recipe, describe_recipe):
        with pytest.raises(ConfigError, match="unknown recipe 'quickstrat'") as refusal:
            look_up("quickstrat")
        assert all(name in str(refusal.value) for name in recipe_names())


def test_a_recipe_without_a_configuration_is_a_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("twofold.pipeline.recipes.quickstart.CONFIG", 3)
    with pytest.raises(TypeError, match="recipe quickstart: CONFIG must be a RunConfig"):
        load_recipe("quickstart")
