"""Rules find what they are for, as counted by hand, and nothing else."""

import math

import pytest

from twofold.components.training.alarms.rules import (
    Check,
    Collapse,
    LossSpike,
    StaleQueue,
    StalledProbe,
    Starvation,
    name_terms,
)

SOUND = {
    f"{what}_{name}": value
    for what in ("feature", "projection")
    for name, value in (("deviation", 0.5), ("effective_rank", 9.0), ("uniformity", -2.0))
}


def found_at(rule, checks):
    """The steps at which a rule finds something, with the values that it names."""
    findings = [(one.step, rule.check(one)) for one in checks]
    return {step: finding.value for step, finding in findings if finding is not None}


def checks_of(name, values):
    return [Check(step, {name: value}) for step, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("sign", "value"),
    [
        ("feature_deviation", 0.01),
        ("feature_effective_rank", 1.01),
        ("feature_uniformity", -0.001),
        ("projection_deviation", 0.01),
        ("projection_effective_rank", 1.01),
        ("projection_uniformity", -0.001),
        ("feature_deviation", math.nan),
    ],
)
def test_a_collapse_by_any_sign_is_found_when_it_has_lasted(sign, value):
    rule = Collapse(deviation=0.02, rank=1.05, uniformity=-0.002, checks=3)
    ill = {**SOUND, sign: value}
    course = [ill, ill, SOUND, ill, ill, ill, ill, SOUND, ill, ill, ill]
    found = found_at(rule, [Check(step, one) for step, one in enumerate(course, 1)])
    assert list(found) == [6, 11], "three in a row, once each time"


def test_a_collapse_names_value_and_threshold():
    rule = Collapse(deviation=0.02, rank=1.05, uniformity=-0.002, checks=1)
    finding = rule.check(Check(1, {**SOUND, "feature_effective_rank": 1.01}))
    assert finding is not None
    assert "the features of" in finding.what
    assert "effective rank 1.01, below 1.05" in finding.what
    assert finding.threshold == 1.05


def test_few_directions_are_no_collapse_where_classes_are_learned():
    rule = Collapse(deviation=0.02, rank=None, uniformity=-0.002, checks=1)
    assert rule.check(Check(1, {**SOUND, "feature_effective_rank": 1.0})) is None


def test_a_check_without_a_measurement_neither_lengthens_nor_ends_a_streak():
    rule = Collapse(deviation=0.02, rank=1.05, uniformity=-0.002, checks=2)
    ill = {**SOUND, "feature_effective_rank": 1.0}
    checks = [Check(1, ill), Check(2, {"loss": 1.0}), Check(3, ill)]
    assert list(found_at(rule, checks)) == [3]


def test_a_loss_is_a_spike_from_so_many_deviations_above_the_median_on():
    rule = LossSpike(score=10.0)
    for check in checks_of("loss", [9.0, 10.0, 11.0] * 3):
        assert rule.check(check) is None
    # The median of the distances from 10 is 1: a deviation of 1.4826.
    assert rule.limit() == pytest.approx(10.0 + 14.826)
    assert rule.check(Check(10, {"loss": 24.8})) is None
    assert found_at(rule, [Check(11, {"loss": 25.0})]) == {11: 25.0}
    assert rule.suspicious


def test_a_spike_is_found_once_and_is_not_part_of_the_course():
    course = [9.0, 10.0, 11.0] * 3
    rule = LossSpike(score=10.0)
    losses = [*course, 50.0, 60.0, 10.0, 70.0, *course]
    assert found_at(rule, checks_of("loss", losses)) == {10: 50.0, 13: 70.0}
    assert not rule.suspicious


def test_a_loss_that_stays_up_becomes_a_course():
    rule = LossSpike(score=10.0)
    found = found_at(rule, checks_of("loss", [1.0] * 10 + [5.0] * 60))
    assert list(found) == [11]
    assert set(rule.course) == {5.0}


@pytest.mark.parametrize(
    "losses", [[1.0] * 7 + [99.0], [99.0 - step for step in range(90)], [0.0] * 20 + [0.00099]]
)
def test_neither_the_first_points_nor_a_falling_loss_are_spikes(losses):
    assert found_at(LossSpike(score=10.0), checks_of("loss", losses)) == {}


def test_a_negative_loss_spikes_upwards():
    rule = LossSpike(score=10.0)
    assert found_at(rule, checks_of("loss", [-0.9] * 9 + [-0.95, -0.7])) == {11: -0.7}


def probe(**changes):
    # 100 labelled images over two epochs of two steps: a deviation of 1/2 is 0.05 / sqrt(2).
    return StalledProbe(
        **(
            {"chance": 0.5, "labelled": 100, "steps_per_epoch": 2, "epochs": 2, "updates": 1}
            | changes
        )
    )


def accuracies(*values):
    return checks_of("online_probe/accuracy", values)


def test_a_probe_at_chance_is_found_after_its_epochs_and_once():
    assert probe().threshold == pytest.approx(0.5 + 2 * 0.5 / math.sqrt(200))
    assert list(found_at(probe(), accuracies(0.5, 0.5, 0.5, 0.5, 0.5))) == [4]


def test_a_probe_that_falls_back_to_chance_is_found():
    values = [0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5]
    assert list(found_at(probe(), accuracies(*values))) == [8]


def test_a_probe_has_some_updates_to_learn_in():
    assert list(found_at(probe(updates=6), accuracies(*[0.5] * 9))) == [6]
    assert probe(updates=6).threshold == pytest.approx(0.5 + 2 * 0.5 / math.sqrt(300))


def test_accuracies_count_by_the_steps_that_they_are_of():
    checks = [
        Check(3, {"online_probe/accuracy": 0.4}),
        # The mean over four steps is 0.575, above 0.5707; of the two values it would be 0.75.
        Check(4, {"online_probe/accuracy": 1.1}),
    ]
    assert found_at(probe(), checks) == {}
    checks[1] = Check(4, {"online_probe/accuracy": 1.0})
    assert found_at(probe(), checks) == {4: pytest.approx(0.55)}


@pytest.mark.parametrize("changes", [{"labelled": 2}, {"chance": 0.95}])
def test_nothing_is_said_of_a_probe_that_cannot_show_that_it_learns(changes):
    assert found_at(probe(**changes), accuracies(*[0.1] * 9)) == {}


def test_a_queue_is_stale_once_it_holds_more_than_an_epoch():
    rule = StaleQueue(rows=100, images_per_epoch=64, batch_size=16)
    checks = [Check(step, {}) for step in range(1, 9)]
    assert found_at(rule, checks) == {5: 80.0}
    fitting = StaleQueue(rows=64, images_per_epoch=64, batch_size=16)
    assert found_at(fitting, checks) == {}


def test_training_starves_when_it_has_waited_for_long():
    rule = Starvation(share=0.5, checks=2)
    shares = [0.9, 0.1, 0.6, 0.5, 0.6, 0.7, 0.8]
    checks = [Check(step, {}, starved) for step, starved in enumerate(shares, 1)]
    assert found_at(rule, checks) == {6: 0.7}


def test_broken_terms_are_named():
    metrics = {"loss": math.inf, "kl": math.inf, "reconstruction": 3.0, "accuracy": math.nan}
    assert name_terms(metrics) == "accuracy nan, kl inf, loss inf"
