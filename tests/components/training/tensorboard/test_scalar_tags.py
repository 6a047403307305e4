"""The groups of curves in TensorBoard."""

import pytest

from twofold.components.training.tensorboard.scalar_tags import curve_of, describe, tag_of

TAGS = {
    "loss": "loss/total",
    "kl": "loss/kl",
    "contrastive_accuracy": "task/contrastive_accuracy",
    "accuracy": "task/accuracy",
    "a_method/of_its_own": "task/a_method/of_its_own",
    "online_probe/accuracy": "probe/training/accuracy",
    "validation/loss": "probe/validation/loss",
    "test/accuracy": "probe/test/accuracy",
    "feature_std": "geometry/feature_std",
    "gradient_norm": "rate/gradient_norm",
    "images_per_second": "system/images_per_second",
}


@pytest.mark.parametrize("curve", TAGS)
def test_every_curve_has_a_group_and_is_found_by_its_tag(curve: str) -> None:
    assert tag_of(curve) == TAGS[curve]
    assert curve_of(TAGS[curve]) == curve
    assert describe(TAGS[curve])


@pytest.mark.parametrize("curve", ["loss", "online_probe/loss", "validation/loss", "feature_std"])
def test_curves_of_earlier_versions_are_read_by_their_names(curve: str) -> None:
    assert curve_of(curve) == curve


@pytest.mark.parametrize(
    "tag", ["versus_images/loss/total", "geometry/test/effective_rank", "system/x"]
)
def test_what_only_tensorboard_shows_is_no_curve_of_training(tag: str) -> None:
    assert curve_of(tag) is None
