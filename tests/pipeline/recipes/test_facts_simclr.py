"""Recipe A against a table of facts from its source, keras.io's semi-supervised SimCLR.

What the source draws at random is held to the distribution that it states, over 4,096 images.
"""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.pipeline.recipes.view_geometry import colours, positions
from twofold.components.data.reading.row_streams import steps_per_epoch
from twofold.components.methods.contrastive.simclr import SimCLR
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import MethodInput
from twofold.pipeline.models.build import build_state, build_training_schedule
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.recipes import load_recipe

RECIPE = load_recipe("stl10_simclr")
TRAINING = RECIPE.training
LENGTH = LoopSettings(steps=4_000, steps_per_epoch=200, log_every=50, checkpoint_every=200)

# As printed: 3,584, three times 147,584, and 409,728; 2 x 16,512; 1,290.
ENCODER_WEIGHTS = 3_584 + 3 * 147_584 + 409_728
PROJECTOR_WEIGHTS, PROBE_WEIGHTS = 33_024, 1_290
# Of each policy: the least area, brightness, jitter.
STRONG, WEAK = (0.25, 0.6, 0.2), (0.75, 0.3, 0.1)
TEMPERATURE = 0.1


@pytest.fixture(scope="module")
def method() -> SimCLR:
    built = build_method(RECIPE, (96, 96, 3), classes=10, steps=LENGTH.steps)
    assert isinstance(built, SimCLR)
    return built


def test_the_networks_are_those_of_the_source(method: SimCLR) -> None:
    assert ENCODER_WEIGHTS == 856_064
    assert method.encoder.count_params() == ENCODER_WEIGHTS
    assert method.encoder.output_shape == (None, 128)
    assert method.projector.count_params() == PROJECTOR_WEIGHTS
    assert method.projector.output_shape == (None, 128)
    probe = build_state(RECIPE, method, LENGTH, classes=10, replicas=1).probe
    assert probe is not None
    assert probe.head.count_params() == PROBE_WEIGHTS


def test_a_step_and_an_epoch_hold_as_many_images_as_in_the_printed_run() -> None:
    assert TRAINING.batch_size == 525
    assert TRAINING.labelled_batch_size == 25
    assert steps_per_epoch(100_000, 500) == steps_per_epoch(5_000, 25) == 200
    assert TRAINING.epochs == 20


def test_the_rate_is_adams_default_throughout(method: SimCLR) -> None:
    assert (TRAINING.optimizer, TRAINING.epsilon) == ("adam", 1e-7)
    schedule = build_training_schedule(TRAINING, LENGTH)
    assert [float(schedule(step)) for step in (0, 2_000, 3_999)] == pytest.approx([0.001] * 3)
    probe = build_state(RECIPE, method, LENGTH, classes=10, replicas=1).probe
    assert probe is not None
    assert float(probe.optimizer.learning_rate) == pytest.approx(0.001)


def test_the_encoder_is_fine_tuned_and_trained_from_scratch_as_in_the_source() -> None:
    evaluation = RECIPE.evaluation
    assert evaluation.finetune_epochs == 20
    assert evaluation.finetune_batch_size == 25
    assert evaluation.finetune_learning_rate == 0.001
    assert evaluation.finetune_from_scratch
    # By the probe's weak views.
    assert evaluation.finetune_views is None
    assert RECIPE.probe_views is not None


@pytest.mark.parametrize(("policy", "facts"), [("views", STRONG), ("probe_views", WEAK)])
class TestViews:
    def test_half_are_mirrored(self, policy, facts):
        _, extents = positions(getattr(RECIPE, policy), brightness=0.0, jitter=0.0)
        # Of 4,096 tosses, 0.0078 is the standard deviation.
        assert np.mean(extents[:, 1] < 0) == pytest.approx(0.5, abs=0.03)

    def test_each_side_is_shifted_and_zoomed_by_itself(self, policy, facts):
        zoom = 1 - math.sqrt(facts[0])
        centres, extents = positions(getattr(RECIPE, policy), brightness=0.0, jitter=0.0)
        remaining = np.abs(extents)
        for axis in (0, 1):
            shifts = centres[:, axis] - 0.5
            expected = stats.uniform(-zoom / 2, zoom)
            assert stats.kstest(shifts, expected.cdf).pvalue > 0.001
            expected = stats.uniform(1 - zoom, zoom)
            assert stats.kstest(remaining[:, axis], expected.cdf).pvalue > 0.001
        drawn = np.concatenate([centres, remaining], axis=1)
        apart = np.corrcoef(drawn.T) - np.eye(4)
        # The correlation of 4,096 independent pairs has a deviation of 0.016.
        assert np.abs(apart).max() < 0.06

    def test_brightness_is_a_factor_alike_in_all_colours(self, policy, facts):
        found = colours(getattr(RECIPE, policy), (0.5, 0.5, 0.5), jitter=0.0)
        np.testing.assert_allclose(found, found[:, :1].repeat(3, axis=1), atol=1e-6)
        expected = stats.uniform(0.5 * (1 - facts[1]), facts[1])
        assert stats.kstest(found[:, 0], expected.cdf).pvalue > 0.001

    def test_colours_mix_by_a_matrix_of_independent_entries(self, policy, facts):
        jitter = facts[2]
        # From red alone: a gain of red by its own entry, green and blue by theirs, cut at 0.
        found = colours(getattr(RECIPE, policy), (0.5, 0.0, 0.0), brightness=0.0)
        expected = stats.uniform(0.5 * (1 - jitter), jitter)
        assert stats.kstest(found[:, 0], expected.cdf).pvalue > 0.001
        for other in (1, 2):
            assert np.mean(found[:, other] == 0.0) == pytest.approx(0.5, abs=0.03)
            above = found[found[:, other] > 0, other]
            expected = stats.uniform(0, 0.5 * jitter)
            assert stats.kstest(above, expected.cdf).pvalue > 0.001
        assert abs(np.corrcoef(found.T)[0, 1]) < 0.06

    def test_values_are_clipped(self, policy, facts):
        found = colours(getattr(RECIPE, policy), (0.9, 0.9, 0.9), jitter=0.0)[:, 0]
        # Factors above 1 / 0.9 end at 1.
        share = (1 + facts[1] - 1 / 0.9) / (2 * facts[1])
        assert np.mean(found == 1.0) == pytest.approx(share, abs=0.03)
        assert found.max() == 1.0


def test_the_first_loss_and_accuracy_follow_the_source_line_by_line(method: SimCLR) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
    mixed = dataclasses.replace(
        method,
        views=(
            lambda images, keys: images,
            lambda images, keys: 0.3 * images + 0.5 * tf.reverse(images, [1]),
        ),
        compile_views=False,
    )
    zeros = tf.zeros([8], tf.int32)
    output = mixed(
        MethodInput(tf.constant(images), zeros, tf.cast(zeros, tf.uint32), tf.constant(0, tf.int64))
    )

    projections = []
    for view in (images / 255, (0.3 * images + 0.5 * images[:, ::-1]) / 255):
        features = method.encoder(view.astype(np.float32))
        rows = method.projector(features).numpy().astype(float)
        projections.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    # Row i of the cosines belongs to column i, over the images of the other view alone.
    cosines = projections[0] @ projections[1].T / TEMPERATURE
    losses, hits = [], []
    for scores in (cosines, cosines.T):
        for i, row in enumerate(scores):
            losses.append(math.log(sum(math.exp(score - row[i]) for score in row)))
            hits.append(int(np.argmax(row)) == i)
    assert float(output.loss) == pytest.approx(np.mean(losses), rel=1e-4)
    assert float(output.metrics["contrastive_accuracy"]) == pytest.approx(np.mean(hits))
    assert 0 < np.mean(hits) < 1
