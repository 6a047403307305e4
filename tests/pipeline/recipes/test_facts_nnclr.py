"""Recipe B against a table of facts from its source, keras.io's example of NNCLR.

What the source draws at random is held to the distribution that it states, over 4,096 images.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.pipeline.recipes.view_geometry import colours, positions
from twofold.components.data.reading.row_streams import steps_per_epoch
from twofold.components.methods.contrastive.nnclr import NNCLR
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import MethodInput
from twofold.pipeline.models.build import build_state, build_training_schedule
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.recipes import load_recipe

RECIPE = load_recipe("stl10_nnclr")
TRAINING = RECIPE.training
LENGTH = LoopSettings(steps=250, steps_per_epoch=50, log_every=50, checkpoint_every=50)

# Convolutions of 3x3 with 128 filters, of 3, 128, 128 and 128 channels; 96 pixels become 47, 23,
# 11 and 5, so that 3,200 numbers go to a dense layer of 128.
ENCODER_WEIGHTS = (27 + 1) * 128 + 3 * (9 * 128 + 1) * 128 + (3_200 + 1) * 128
PROJECTOR_WEIGHTS = 2 * (128 + 1) * 128
AREA, WEAK_AREA = (0.2, 1.0), (0.5, 1.0)
ASPECT = (3 / 4, 4 / 3)
BRIGHTNESS, WEAK_BRIGHTNESS = 0.5, 0.2
TEMPERATURE, QUEUE = 0.1, 10_000


@pytest.fixture(scope="module")
def method() -> NNCLR:
    built = build_method(RECIPE, (96, 96, 3), classes=10, steps=LENGTH.steps)
    assert isinstance(built, NNCLR)
    return built


def test_the_networks_are_those_of_the_source(method: NNCLR) -> None:
    assert ENCODER_WEIGHTS == 856_064
    assert method.encoder.count_params() == ENCODER_WEIGHTS
    assert method.encoder.output_shape == (None, 128)
    assert PROJECTOR_WEIGHTS == 33_024
    assert method.projector.count_params() == PROJECTOR_WEIGHTS
    assert method.projector.output_shape == (None, 128)
    probe = build_state(RECIPE, method, LENGTH, classes=10, replicas=1).probe
    assert probe is not None
    assert probe.head.count_params() == (128 + 1) * 10


def test_the_queue_is_that_of_the_source(method: NNCLR) -> None:
    rows = method.queue.values().numpy()
    assert rows.shape == (QUEUE, 128)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)


def test_a_step_and_an_epoch_hold_as_many_images_as_in_the_printed_run() -> None:
    assert TRAINING.labelled_batch_size == 5_000 // 50
    unlabelled = TRAINING.batch_size - TRAINING.labelled_batch_size
    assert unlabelled == 100_000 // 50
    assert steps_per_epoch(100_000, unlabelled) == 50
    assert TRAINING.epochs == 5


def test_the_rate_is_adams_default_throughout() -> None:
    assert (TRAINING.optimizer, TRAINING.epsilon) == ("adam", 1e-7)
    schedule = build_training_schedule(TRAINING, LENGTH)
    assert [float(schedule(step)) for step in (0, 50, 249)] == pytest.approx([0.001] * 3)


@pytest.mark.parametrize(
    ("policy", "area", "brightness"),
    [("views", AREA, BRIGHTNESS), ("probe_views", WEAK_AREA, WEAK_BRIGHTNESS)],
)
class TestViews:
    def test_half_are_mirrored(self, policy, area, brightness):
        _, extents = positions(getattr(RECIPE, policy), brightness=0.0)
        # Of 4,096 tosses, 0.0078 is the standard deviation.
        assert np.mean(extents[:, 1] < 0) == pytest.approx(0.5, abs=0.03)

    def test_areas_and_aspects_are_uniform(self, policy, area, brightness):
        _, extents = positions(getattr(RECIPE, policy), brightness=0.0)
        height, width = extents[:, 0], np.abs(extents[:, 1])
        # Below 3/4 of the area no aspect is cut to the image's side.
        whole = height * width < 0.74
        within = (height * width)[whole]
        assert stats.kstest(within, stats.uniform(area[0], 0.74 - area[0]).cdf).pvalue > 0.001
        share = (0.74 - area[0]) / (area[1] - area[0])
        assert np.mean(whole) == pytest.approx(share, abs=0.03)
        aspects = (width / height)[whole]
        expected = stats.uniform(ASPECT[0], ASPECT[1] - ASPECT[0])
        assert stats.kstest(aspects, expected.cdf).pvalue > 0.001
        # Three sevenths are upright; of log-uniform ones, half would be.
        assert np.mean(aspects < 1) == pytest.approx(3 / 7, abs=0.045)

    def test_crops_lie_anywhere_in_the_image(self, policy, area, brightness):
        centres, extents = positions(getattr(RECIPE, policy), brightness=0.0)
        extents = np.abs(extents)
        room = extents < 0.9
        places = (centres - extents / 2)[room] / (1 - extents[room])
        assert stats.kstest(places, stats.uniform(0, 1).cdf).pvalue > 0.001

    def test_brightness_is_shifted_evenly_and_alike_in_all_colours(self, policy, area, brightness):
        found = colours(getattr(RECIPE, policy), (0.5, 0.5, 0.5))
        np.testing.assert_allclose(found, found[:, :1].repeat(3, axis=1), atol=1e-6)
        expected = stats.uniform(0.5 - brightness, 2 * brightness)
        assert stats.kstest(found[:, 0], expected.cdf).pvalue > 0.001

    def test_values_are_clipped(self, policy, area, brightness):
        found = colours(getattr(RECIPE, policy), (0.9, 0.9, 0.9))[:, 0]
        # Shifts above 0.1 end at 1.
        share = (brightness - 0.1) / (2 * brightness)
        assert np.mean(found == 1.0) == pytest.approx(share, abs=0.03)
        assert found.max() == 1.0


IMAGES = np.random.default_rng(0).integers(0, 256, (16, 96, 96, 3), dtype=np.uint8)


def cross_entropy(scores: np.ndarray) -> float:
    """The mean over rows i of -log(exp(s_ii) / sum over j of exp(s_ij))."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_sums - np.diag(shifted)))


def agreement(scores: np.ndarray) -> float:
    """How often the diagonal is the largest of its row, and of its column."""
    places = np.arange(len(scores))
    both = [scores.argmax(axis=1) == places, scores.argmax(axis=0) == places]
    return float(np.mean(both))


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def test_the_first_loss_and_accuracies_follow_the_source_line_by_line(method: NNCLR) -> None:
    mixed = dataclasses.replace(
        method,
        views=(
            lambda images, keys: images,
            lambda images, keys: 0.3 * images + 0.5 * tf.reverse(images, [1]),
        ),
        compile_views=False,
    )
    zeros = tf.zeros([16], tf.int32)
    output = mixed(
        MethodInput(tf.constant(IMAGES), zeros, tf.cast(zeros, tf.uint32), tf.constant(0, tf.int64))
    )

    views = [IMAGES / 255, (0.3 * IMAGES + 0.5 * IMAGES[:, ::-1]) / 255]
    features = [method.encoder(view.astype(np.float32)).numpy().astype(float) for view in views]
    first, second = (unit(method.projector(one).numpy().astype(float)) for one in features)
    queue = method.queue.values().numpy().astype(float)
    nearest = [queue[(one @ queue.T).argmax(axis=1)] for one in (first, second)]
    losses = [
        cross_entropy(nearest[0] @ second.T / TEMPERATURE),
        cross_entropy(second @ nearest[0].T / TEMPERATURE),
        cross_entropy(nearest[1] @ first.T / TEMPERATURE),
        cross_entropy(first @ nearest[1].T / TEMPERATURE),
    ]
    assert float(output.loss) == pytest.approx(np.mean(losses), rel=1e-4)

    # Both accuracies are of the encoder's features.
    found = {name: float(value) for name, value in output.metrics.items()}
    of_features = agreement(unit(features[0]) @ unit(features[1]).T)
    assert found["contrastive_accuracy"] == pytest.approx(of_features)
    varying = (features[0].std(axis=0) > 0) & (features[1].std(axis=0) > 0)
    one, other = (
        (part - part.mean(axis=0))[:, varying] / part.std(axis=0)[varying] for part in features
    )
    matrix = one.T @ other / len(one)
    # A unit that does not vary counts as a miss here, and has no number in the source.
    expected = agreement(matrix) * varying.mean()
    # In float32 a unit or two of the 128 may find another one first.
    assert found["correlation_accuracy"] == pytest.approx(expected, abs=2.01 / 128)
    of_projections = agreement(first @ second.T)
    assert of_projections != of_features


def test_the_first_views_projections_enter_the_queue_after_the_look_up(method: NNCLR) -> None:
    projections = tf.constant(np.random.default_rng(0).normal(size=(6, 128)).astype(np.float32))
    before = method.queue.values().numpy()
    method.queue.enqueue(projections)
    after = method.queue.values().numpy()
    np.testing.assert_allclose(after[:6], unit(projections.numpy()), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(after[6:], before[:-6])
