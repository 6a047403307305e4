"""Recipe C against a table of facts from its source, keras.io's Barlow Twins.

What the source draws at random is held to the distribution that it states, over 4,096 images, and
to statistics of its own code's views where CIFAR-10 as JPEG files is at hand.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from tests.pipeline.recipes.view_geometry import COUNT, colours, positions
from twofold.components import keyed_random
from twofold.components.encoders.heads import build_projector
from twofold.components.methods.build import build_configured_encoder
from twofold.components.methods.redundancy.barlow_twins import BarlowTwins
from twofold.components.methods.redundancy.barlow_twins_settings import BarlowTwinsSettings
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import MethodInput
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.policies_settings import BarlowViewsSettings
from twofold.components.transforms.settings import ViewsSettings
from twofold.components.transforms.views import make_views
from twofold.pipeline.models.build import build_training_schedule
from twofold.pipeline.recipes import load_recipe

RECIPE = load_recipe("cifar10_barlow_twins")
CORRECTED = load_recipe("cifar10_barlow_twins_corrected")
assert isinstance(RECIPE.method, BarlowTwinsSettings)
assert isinstance(RECIPE.views, BarlowViewsSettings)
METHOD, VIEWS, TRAINING = RECIPE.method, RECIPE.views, RECIPE.training
LENGTH = LoopSettings(steps=15_520, steps_per_epoch=97, log_every=50, checkpoint_every=97)

# Counted in the published code.
ENCODER_WEIGHTS, TWIN_WEIGHTS, FEATURES = 21_306_624, 73_921_624, 512
PLAIN = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0}
# A share of 4,096 images has a deviation of at most 0.0078.
SHARE = 0.03
# Of the published code's views of 4,096 images, and four deviations of the difference of two such.
STATISTICS = {
    "mean of red": (0.486, 0.02),
    "mean of green": (0.479, 0.02),
    "mean of blue": (0.462, 0.02),
    "deviation": (0.354, 0.010),
    "grey": (0.217, 0.026),
    "at 0": (0.155, 0.018),
    "at 1": (0.137, 0.018),
    "difference of two": (0.367, 0.025),
    "mean correlation": (0.459, 0.030),
    "median correlation": (0.507, 0.040),
    "negative correlation": (0.104, 0.027),
}


@pytest.fixture(scope="module")
def networks() -> tuple[keras.Model, keras.Model]:
    # Counted, but not filled with 74 million numbers.
    with keras.StatelessScope():
        encoder = build_configured_encoder(RECIPE.encoder, (32, 32, 3), RECIPE.seed)
        projector = build_projector(
            FEATURES,
            seed=RECIPE.seed,
            units=METHOD.projector or (),
            batch_norm=METHOD.projector_batch_norm,
            **RECIPE.encoder.head_batch_norm,
        )
    return encoder, projector


def test_the_twin_network_is_that_of_the_source(networks) -> None:
    encoder, projector = networks
    assert encoder.output_shape == (None, FEATURES)
    assert encoder.count_params() == ENCODER_WEIGHTS
    assert projector.output_shape == (None, 5_000)
    assert encoder.count_params() + projector.count_params() == TWIN_WEIGHTS


def test_every_normalisation_has_kerass_momentum_and_epsilon(networks) -> None:
    found = {
        (layer.momentum, layer.epsilon)
        for network in networks
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert found == {(0.99, 1e-3)}


def test_steps_and_rate_are_those_of_the_printed_run() -> None:
    assert TRAINING.batch_size == 512
    assert 50_000 // TRAINING.batch_size == 97
    assert TRAINING.epochs == 160
    assert TRAINING.optimizer == "lamb"
    assert TRAINING.weight_decay == 0.0
    assert TRAINING.exclude == ()
    schedule = build_training_schedule(TRAINING, LENGTH)
    assert [float(schedule(step)) for step in (0, 97, 15_519)] == pytest.approx([0.001] * 3)


def test_the_linear_evaluation_is_that_of_the_source() -> None:
    evaluation = RECIPE.evaluation
    assert evaluation.probe_reads == "projections"
    assert evaluation.probe_epochs == 35
    assert evaluation.probe_batch_size == 512
    assert evaluation.probe_last_batch == "drop"
    assert evaluation.probe_optimizer == "lamb"
    assert evaluation.probe_learning_rate == 0.001
    assert evaluation.probe_schedule_epochs is None
    # Keras's L2 is the factor on the sum of squares.
    assert evaluation.probe_penalty == 0.02
    assert evaluation.probe_initializer == "keras"


def test_the_first_loss_follows_the_source_line_by_line() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 16, 32, 32, 3), np.float32)
    encoder = build_configured_encoder(RECIPE.encoder, (32, 32, 3), RECIPE.seed)
    projector = build_projector(
        FEATURES, seed=0, units=(48, 48, 48), batch_norm=True, **RECIPE.encoder.head_batch_norm
    )
    method = BarlowTwins(
        encoder,
        projector,
        views=(lambda images, keys: tf.constant(first), lambda images, keys: tf.constant(second)),
        off_diagonal=METHOD.off_diagonal,
        compile_views=False,
    )
    zeros = tf.zeros([16], tf.int32)
    images = tf.zeros([16, 32, 32, 3], tf.uint8)
    output = method(MethodInput(images, zeros, tf.cast(zeros, tf.uint32), tf.constant(0, tf.int64)))

    standard = []
    for view in (first, second):
        rows = projector(encoder(view, training=True), training=True).numpy().astype(float)
        standard.append((rows - rows.mean(axis=0)) / rows.std(axis=0))
    correlation = standard[0].T @ standard[1] / 16
    away = np.square(np.diag(correlation) - 1).sum()
    off = np.square(correlation - np.diag(np.diag(correlation))).sum()
    assert float(output.loss) == pytest.approx(away + 5e-3 * off, rel=1e-3)


def test_a_quarter_is_mirrored() -> None:
    _, extents = positions(RECIPE.views, **PLAIN)
    assert np.mean(extents[:, 1] < 0) == pytest.approx(0.25, abs=SHARE)


def test_crops_have_any_whole_side_from_24_to_31_pixels() -> None:
    _, extents = positions(RECIPE.views, **PLAIN)
    sides = np.round(np.abs(extents) * 32)
    np.testing.assert_array_equal(sides[:, 0], sides[:, 1])
    counts = np.bincount(sides[:, 0].astype(int), minlength=33)
    assert counts.sum() == counts[24:32].sum() == COUNT
    assert stats.chisquare(counts[24:32]).pvalue > 0.001


@pytest.mark.parametrize(
    ("kind", "share"), [("jitter_probability", 0.8), ("grey_probability", 0.2)]
)
def test_colours_change_as_often_as_in_the_source(kind: str, share: float) -> None:
    others = {name: 0.0 for name in PLAIN if name != kind}
    found = colours(RECIPE.views, (0.5, 0.4, 0.3), **others)
    changed = np.abs(found - np.array([0.5, 0.4, 0.3], np.float32)).max(axis=1) > 1e-5
    assert changed.mean() == pytest.approx(share, abs=SHARE)


def test_brightness_is_a_shift() -> None:
    found = colours(
        RECIPE.views,
        (0.5, 0.5, 0.5),
        **(PLAIN | {"jitter_probability": 1.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}),
    )
    inside = found[(found[:, 0] > 0) & (found[:, 0] < 1), 0]
    assert stats.kstest(inside, stats.uniform(0, 1).cdf).pvalue > 0.001
    # Shifts of 0.5 to 0.8 either way end at black or white.
    assert np.mean(found[:, 0] == 0.0) == pytest.approx(0.3 / 1.6, abs=SHARE)
    assert np.mean(found[:, 0] == 1.0) == pytest.approx(0.3 / 1.6, abs=SHARE)


def test_saturation_is_that_of_hsv_and_clipped() -> None:
    only = {"jitter_probability": 1.0, "brightness": 0.0, "contrast": 0.0, "hue": 0.0}
    found = colours(RECIPE.views, (0.8, 0.4, 0.2), **(PLAIN | only))
    # The value stays; of the saturation of 0.75, factors above 4 / 3 make 1.
    np.testing.assert_allclose(found[:, 0], 0.8, atol=1e-6)
    saturations = 1 - found[:, 2] / 0.8
    assert saturations.min() == pytest.approx(0.75 * 0.4, abs=0.01)
    assert np.mean(saturations > 1 - 1e-6) == pytest.approx((1.6 - 4 / 3) / 1.2, abs=SHARE)


def spots(settings: ViewsSettings, seed: int, **changes: float) -> np.ndarray:
    """Gives views of 4,096 images that are black but for one white pixel, not cropped."""
    still: dict[str, Any] = PLAIN | {"crop": (1.0, 1.0), "flip_probability": 0.0}
    policy = build_view(settings.model_copy(update=still | changes), seed)
    images = np.zeros((COUNT, 9, 9, 3), np.float32)
    images[:, 4, 4] = 1
    keys = keyed_random.image_keys(1, tf.constant(0, tf.int64), tf.range(COUNT, dtype=tf.int64))
    drawn: np.ndarray = policy(tf.constant(images), keys).numpy()
    return drawn


def test_a_fifth_is_blurred_by_the_three_taps_of_one_sigma() -> None:
    views = spots(VIEWS, 0, blur_probability=VIEWS.blur_probability)
    blurred = views[:, 4, 4, 0] < 1
    assert blurred.mean() == pytest.approx(0.2, abs=SHARE)
    assert len(np.unique(views[blurred, 4, 4, 0])) == 1
    assert not views[:, :3].any()
    assert views[blurred][:, 3, 3].all()


def test_sigma_is_uniform_over_runs() -> None:
    peaks = np.array([peak(RECIPE.views, seed) for seed in range(40)])
    # The middle of three taps is 1 / (1 + 2 exp(-1 / (2 sigma^2))), squared for two axes.
    sigmas = np.sqrt(-0.5 / np.log((1 / np.sqrt(np.minimum(peaks, 1 - 1e-7)) - 1) / 2))
    above = sigmas[peaks < 1 - 1e-6]
    # Below 0.18 nothing is left to see.
    assert stats.kstest(above, stats.uniform(above.min(), 1 - above.min()).cdf).pvalue > 0.001


def peak(settings: ViewsSettings, seed: int) -> float:
    """Gives the middle of a blurred white pixel in a run of this seed."""
    changes: dict[str, Any] = PLAIN | {"blur_probability": 1.0, "crop": (1.0, 1.0)}
    image = np.zeros((1, 5, 5, 3), np.float32)
    image[:, 2, 2] = 1
    policy = build_view(settings.model_copy(update=changes), seed)
    return float(policy(tf.constant(image), tf.zeros([1], tf.uint32)).numpy()[0, 2, 2, 0])


def test_nothing_is_solarised() -> None:
    assert (colours(RECIPE.views, (1.0, 1.0, 1.0), **PLAIN) == 1.0).all()


def test_the_corrected_recipe_solarises_a_fifth_and_draws_a_sigma_an_image() -> None:
    found = colours(CORRECTED.views, (1.0, 1.0, 1.0), **PLAIN)
    assert (found == 0.0).all(axis=1).mean() == pytest.approx(0.2, abs=SHARE)
    views = spots(CORRECTED.views, 0, blur_probability=1.0, solarise_probability=0.0)
    assert len(np.unique(views[:, 4, 4, 0])) > COUNT / 2


def test_the_corrected_recipe_differs_in_nothing_else() -> None:
    changed = {"policy", "sigma_drawn", "solarise_probability"}
    one, other = (recipe.views.model_dump() for recipe in (RECIPE, CORRECTED))
    assert {key for key in one if one[key] != other[key]} == changed
    assert CORRECTED.model_copy(update={"name": RECIPE.name, "views": RECIPE.views}) == RECIPE


def photographs(path: Path, count: int) -> np.ndarray:
    """Reads photographs, evenly spaced over the classes, uint8 [count, 32, 32, 3]."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        chosen = [names[row] for row in np.linspace(0, len(names) - 1, count).astype(int)]
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in chosen]
    return np.stack(images)


def test_views_of_photographs_have_the_statistics_of_the_published_codes(
    shared_file: Callable[[str], Path],
) -> None:
    images = photographs(shared_file("cifar10-jpeg/train.zip"), COUNT)
    policy = build_view(RECIPE.views, RECIPE.seed)
    keys = keyed_random.image_keys(0, tf.constant(0, tf.int64), tf.range(COUNT, dtype=tf.int64))
    first, second = make_views((policy, policy), tf.constant(images), keys).numpy()
    both = np.stack([first, second])

    luma = [view @ np.array([0.299, 0.587, 0.114], np.float32) for view in (first, second)]
    small = [one.reshape(COUNT, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(COUNT, 64) for one in luma]
    small = [one - one.mean(axis=1, keepdims=True) for one in small]
    size = np.sqrt(np.square(small[0]).sum(axis=1) * np.square(small[1]).sum(axis=1))
    # Views that are black or white all over correlate with nothing.
    drawn = size > 1e-6
    correlations = (small[0] * small[1]).sum(axis=1)[drawn] / size[drawn]

    found = dict(
        zip(("mean of red", "mean of green", "mean of blue"), both.mean((0, 1, 2, 3)), strict=True)
    )
    found |= {
        "deviation": both.std(),
        "grey": (np.ptp(both, axis=-1).max(axis=(2, 3)) < 1e-3).mean(),
        "at 0": (both == 0).mean(),
        "at 1": (both == 1).mean(),
        "difference of two": np.abs(first - second).mean(),
        "mean correlation": correlations.mean(),
        "median correlation": np.median(correlations),
        "negative correlation": (correlations < 0).mean(),
    }
    for name, (expected, tolerance) in STATISTICS.items():
        assert found[name] == pytest.approx(expected, abs=tolerance), name
