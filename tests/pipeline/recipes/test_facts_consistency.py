"""Recipe D against a table of facts from its source, keras.io's consistency training.

What the source draws at random is held to the distribution that it states.
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

from twofold.components import keyed_random
from twofold.components.encoders.build import build_encoder
from twofold.components.methods.labelled.self_training import SelfTraining
from twofold.components.methods.settings import TeacherSettings
from twofold.components.training.method import MethodInput
from twofold.components.training.monitors import ReduceOnPlateau
from twofold.components.training.settings import PlateauSettings
from twofold.components.transforms.consistency.consistency_views import build_noise
from twofold.components.transforms.consistency.randaugment_tf_models import (
    OPERATIONS,
    TFModelsRandAugment,
    sample_tf_models,
)
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.settings import RANDAUGMENTS
from twofold.components.transforms.views import make_views
from twofold.pipeline.config import override
from twofold.pipeline.models.build import build_training_views
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.recipes import load_recipe

RECIPE = load_recipe("cifar10_consistency")
CORRECTED = load_recipe("cifar10_consistency_corrected")

SIDE, RESIZED, SEEN = 32, 96, 72
# Of keras.applications' ResNet50V2 without its top.
ENCODER_WEIGHTS = 23_564_800
FEATURES, CLASSES = 2_048, 10
RATE, TEMPERATURE = 1e-3, 10.0
# Keras's ReduceLROnPlateau: what falls to a tenth of the rate, or half of it, after three epochs.
TEACHER_PLATEAU, STUDENT_PLATEAU = ("loss", 0.1, 3), ("accuracy", 0.5, 3)


def teacher() -> TeacherSettings:
    stage = RECIPE.method.teacher_stage
    assert stage is not None
    return stage


def test_training_is_that_of_the_source() -> None:
    for training in (RECIPE.training, teacher().training):
        assert (training.batch_size, training.epochs) == (128, 5)
        assert (training.optimizer, training.learning_rate) == ("adam", RATE)
        assert training.epsilon == 1e-7, "Keras's"
        assert training.schedule == "constant"
        assert training.early_stopping is not None
        assert training.early_stopping.patience == 10
        assert training.early_stopping.keep == "best_if_stopped"
        # Of the teacher they are averaged, but the averages are never assigned.
        assert training.averaging is None
    # 500 of 50,000.
    assert RECIPE.data.validation_share == 0.01
    assert teacher().encoder is None, "the two networks are of one size"


@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_the_rate_falls_when_validation_stands_still(stage: str) -> None:
    training = teacher().training if stage == "teacher" else RECIPE.training
    rule = training.plateau
    metric, factor, patience = TEACHER_PLATEAU if stage == "teacher" else STUDENT_PLATEAU
    assert rule == PlateauSettings(metric=metric, factor=factor, patience=patience)  # type: ignore[arg-type]
    scale = tf.Variable(1.0)
    worse = 1.0 if metric == "loss" else -1.0
    monitor = ReduceOnPlateau(scale, factor, patience, "min" if metric == "loss" else "max")

    rates = []
    # The second epoch is better, the third by less than the least improvement that counts, 1e-4.
    for value in (0.5, 0.4, 0.39995, 0.45, 0.41, 0.3, 0.3):
        monitor.observe(worse * value)
        rates.append(RATE * float(scale))

    np.testing.assert_allclose(rates, [RATE] * 4 + [RATE * factor] * 3, rtol=1e-6)


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    settings = RECIPE.encoder.model_dump(exclude={"name"})
    return build_encoder(RECIPE.encoder.name, (SIDE, SIDE, 3), seed=0, **settings)


def test_the_network_is_that_of_the_source(encoder: keras.Model) -> None:
    assert encoder.count_params() == ENCODER_WEIGHTS
    assert encoder.output_shape == (None, FEATURES)
    norms = [
        layer for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # As keras.applications makes them: Keras's momentum, and an epsilon of its own.
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.99, 1.001e-5)}
    assert len(norms) == 49


def test_the_network_sees_images_of_72_pixels_from_minus_one_to_one(encoder: keras.Model) -> None:
    front = keras.Model(encoder.input, encoder.get_layer("rescale").output)
    images = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    images[0, :2, :2], images[1, :2, :2] = 0.0, 1.0

    seen = front(images).numpy()

    # As the source prepares test images.
    resized = tf.image.resize(255 * images, [SEEN, SEEN])
    np.testing.assert_allclose(seen, resized / 127.5 - 1.0, atol=1e-5)
    assert seen[0, 0, 0, 0] == -1.0
    assert seen[1, 0, 0, 0] == 1.0


def test_every_window_of_whole_pixels_is_as_likely_and_half_are_mirrored() -> None:
    # Each pixel says where it is, and nothing is left to resize.
    place = np.arange(RESIZED, dtype=np.uint8)
    image = np.stack(
        [*np.meshgrid(place, place, indexing="ij"), np.zeros_like(place * place[:, None])]
    )
    count = 256
    images = tf.tile(tf.constant(np.moveaxis(image, 0, -1))[None], [count, 1, 1, 1])
    corners = []
    for batch in range(8):
        keys = keyed_random.image_keys(
            batch, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64)
        )
        (views,) = make_views([build_view(RECIPE.views)], images, keys)
        assert views.shape == (count, SEEN, SEEN, 3)
        corners.append(np.rint(views.numpy()[:, 0, [0, -1], :2] * 255).astype(int))
    left, right = np.moveaxis(np.concatenate(corners), 1, 0)

    mirrored = left[:, 1] > right[:, 1]
    assert np.all(np.abs(left[:, 1] - right[:, 1]) == SEEN - 1)
    assert stats.binomtest(int(mirrored.sum()), len(mirrored)).pvalue > 1e-3
    starts = RESIZED - SEEN + 1
    for first in (left[:, 0], np.minimum(left[:, 1], right[:, 1])):
        counts = np.bincount(first, minlength=starts)
        assert len(counts) == starts
        assert stats.chisquare(counts).pvalue > 1e-3


def test_the_noise_is_two_of_sixteen_operations_and_none_all_as_likely() -> None:
    noise = RECIPE.method.model_dump()["noise"]
    assert noise == {
        "name": "randaugment_tf_models",
        "layers": 2,
        "magnitude": 9,
        "cutout": 40.0,
        "translation": 100.0,
    }
    assert len(OPERATIONS) == 17
    drawn = sample_tf_models(
        keyed_random.image_keys(0, tf.constant(0, tf.int64), tf.range(8_192, dtype=tf.int64)),
        TFModelsRandAugment(noise["layers"], noise["magnitude"]),
        SEEN,
        SEEN,
    )
    counts = np.bincount(drawn.operation.numpy().ravel(), minlength=17)
    assert stats.chisquare(counts).pvalue > 1e-3


def small_method(config: Any) -> SelfTraining:
    narrow = ["encoder.width_multiplier=0.02", "encoder.stem=small", "training.compile=none"]
    changed = override(config, narrow)
    built = build_method(changed, (SIDE, SIDE, 3), classes=CLASSES, steps=1)
    assert isinstance(built, SelfTraining)
    # A teacher with other weights than the student's.
    for variable in built.teacher_head.trainable_variables:
        variable.assign(1.0 - 2.0 * variable)
    return built


@pytest.mark.parametrize("config", [RECIPE, CORRECTED], ids=["published", "corrected"])
def test_the_first_loss_is_the_mean_of_cross_entropy_and_divergence(config: Any) -> None:
    method = small_method(config)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (4, SIDE, SIDE, 3), np.uint8))
    labels, keys = tf.constant([3, 0, 9, 3]), tf.constant([5, 6, 7, 8], tf.uint32)
    clean, noisy = build_training_views(config)(images, keys)
    student = method.head(method.encoder(noisy, training=True), training=True).numpy()
    answers = method.teacher_head(method.teacher_encoder(clean, training=False)).numpy()

    loss = float(method(MethodInput(images, labels, keys, tf.constant(0, tf.int64))).loss)

    def softmax(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    cross_entropy = -np.log(softmax(student)[np.arange(4), labels.numpy()]).mean()
    p, q = softmax(answers / TEMPERATURE), softmax(student / TEMPERATURE)
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    assert divergence > 0
    assert loss == pytest.approx((cross_entropy + divergence) / 2, rel=1e-4)


def test_the_published_crops_differ_and_the_corrected_ones_do_not() -> None:
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8))
    keys = tf.range(8, dtype=tf.int32)
    still = ["method.noise.magnitude=1", "method.noise.cutout=0", "method.noise.translation=0"]

    def alike(config: Any) -> np.ndarray:
        """Finds correlations of the two views, of noise that is weak or a negative."""
        views = build_training_views(override(config, still))(images, tf.cast(keys, tf.uint32))
        rows = [view.numpy().reshape(8, -1) for view in views]
        return np.array([abs(np.corrcoef(*pair)[0, 1]) for pair in zip(*rows, strict=True)])

    assert np.median(alike(CORRECTED)) > 0.7
    assert np.median(alike(RECIPE)) < 0.3


# Measured by the source's own code, on 1,024 images.
MEASURED = 1_024
STATISTICS = {
    "randaugment_tf_models": (0.206, 0.40, 0.48, 0.21),
    "randaugment_torchvision": (0.126, 0.64, 0.30, 0.055),
}


@pytest.fixture(scope="module")
def photographs(shared_file: Callable[[str], Path]) -> np.ndarray:
    with zipfile.ZipFile(shared_file("cifar10-jpeg/test.zip")) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        chosen = np.random.default_rng(0).permutation(len(names))[:MEASURED]
        files = [archive.read(names[index]) for index in chosen]
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


@pytest.mark.parametrize("name", STATISTICS)
def test_noise_changes_photographs_as_much_as_the_sources_does(
    photographs: np.ndarray, name: str
) -> None:
    noise = build_noise(RANDAUGMENTS.validate({"name": name, "layers": 2, "magnitude": 9}))
    keys = keyed_random.image_keys(0, tf.constant(0, tf.int64), tf.range(MEASURED, dtype=tf.int64))
    (views,) = make_views([build_view(RECIPE.views)], tf.constant(photographs), keys)
    clean = views.numpy().reshape(MEASURED, -1)
    noisy = noise(views, keyed_random.fold_in(keys, 1)).numpy().reshape(MEASURED, -1)

    correlations = np.array([np.corrcoef(*pair)[0, 1] for pair in zip(clean, noisy, strict=True)])
    found = [np.abs(clean - noisy).mean(axis=1), correlations, correlations < 0.5, correlations < 0]

    for values, expected in zip(found, STATISTICS[name], strict=True):
        # Of two samples of that many images.
        error = np.std(values) * np.sqrt(2 / MEASURED)
        assert abs(np.mean(values) - expected) < 3 * error
