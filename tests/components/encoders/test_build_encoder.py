from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import SettingsError

# One a convolution of He et al.'s networks, those of the shortcuts included where they have any.
BATCH_NORMALISATIONS = {
    "bag_of_patches": 1 + 2 * 2 + 1,
    "conv4": 0,
    "core": 4,
    "patch_dictionary": 1,
    "resnet18": 1 + 8 * 2 + 3,
    "resnet34": 1 + 16 * 2 + 3,
    "resnet50": 1 + 16 * 3 + 4,
    "resnet50v2": 16 * 3 + 1,
    "resnet34_published": 1 + 16 * 2,
    "speedrun": 1 + 2 * 3,
}
# Narrow, since only the layers' kinds matter here.
NARROW: dict[str, dict[str, Any]] = {
    "bag_of_patches": {"filters": (2, 3, 4), "features": 5},
    "conv4": {"width": 4},
    "core": {"filters": (2, 3), "units": (5, 4)},
    "patch_dictionary": {"atoms": 4},
    "resnet18": {"width_multiplier": 1 / 32},
    "resnet34": {"width_multiplier": 1 / 32},
    "resnet50": {"width_multiplier": 1 / 32},
    "resnet50v2": {"width_multiplier": 1 / 32},
    "resnet34_published": {},
    "speedrun": {"filters": (2, 3, 3)},
}
# ResNet-34 and 50 have the same function as ResNet-18.
ONE_OF_A_KIND = [
    "bag_of_patches",
    "conv4",
    "core",
    "patch_dictionary",
    "resnet18",
    "resnet50v2",
    "resnet34_published",
    "speedrun",
]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_built_by_its_name(name):
    encoder = build_encoder(name, (32, 36, 3), seed=0, **NARROW[name])

    assert encoder.name == name
    features = encoder(np.zeros((2, 32, 36, 3), np.float32), training=False)
    assert features.shape == (2, encoder.output_shape[-1])


@pytest.mark.parametrize("name", ENCODERS)
def test_settings_and_builder_refuse_the_same_images(name: str) -> None:
    settings = ENCODERS[name].model_validate({})
    smallest = settings.smallest_image
    settings.check_image(smallest, smallest + 1)
    expected = f"at least {smallest}x{smallest}, received .*: change data.image_size or encoder"
    with pytest.raises(SettingsError, match=expected):
        settings.check_image(smallest, smallest - 1)
    with pytest.raises(SettingsError, match=expected):
        build_encoder(name, (smallest, smallest - 1, 3), seed=0, **NARROW[name])


@pytest.mark.parametrize("name", ["bag_of_patches", "speedrun"])
def test_a_batch_of_unknown_size_is_traced_once(name):
    encoder = build_encoder(name, (20, 23, 3), seed=0, **NARROW[name])
    function = tf.function(
        lambda batch: encoder(batch, training=False),
        input_signature=[tf.TensorSpec([None, 20, 23, 3], tf.float32)],
    )

    for count in (1, 4):
        batch = np.random.default_rng(count).random((count, 20, 23, 3), np.float32)
        np.testing.assert_allclose(
            function(batch), encoder(batch, training=False), rtol=1e-4, atol=1e-6
        )
    assert function.experimental_get_tracing_count() == 1


@pytest.fixture
def policy():
    """Sets Keras's dtype policy, and puts the old one back."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_every_encoder_computes_in_the_global_dtype(policy, name, dtype):
    policy(dtype)
    encoder = build_encoder(name, (32, 32, 3), seed=0, **NARROW[name])
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)

    for training in (True, False):
        features = encoder(images, training=training)
        assert features.dtype == ("bfloat16" if dtype == "mixed_bfloat16" else "float64")
        assert np.all(np.isfinite(tf.cast(features, tf.float64)))
    widths = {weight.dtype for weight in encoder.weights}
    assert widths == {"float32" if dtype == "mixed_bfloat16" else "float64"}


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("bag_of_patches", True),
        ("core", True),
        ("core", False),
        ("patch_dictionary", True),
        ("resnet18", True),
    ],
)
def test_graph_and_xla_give_the_features_of_eager_execution(policy, name, training):
    policy("float64")
    encoder = build_encoder(name, (32, 32, 3), seed=0, **NARROW[name])
    images = tf.constant(np.random.default_rng(0).random((4, 32, 32, 3)))

    def features(images):
        return encoder(images, training=training)

    expected = features(images)
    for compiled in (False, True):
        np.testing.assert_allclose(
            tf.function(features, jit_compile=compiled)(images), expected, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("name", ENCODERS)
def test_every_normalisation_has_the_references_settings(name):
    norms = [
        layer
        for layer in build_encoder(name, (32, 32, 3), seed=0, **NARROW[name]).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]

    assert len(norms) == BATCH_NORMALISATIONS[name]
    for norm in norms:
        assert (norm.momentum, norm.epsilon, norm.synchronized) == (0.9, 1e-5, True)


@pytest.mark.parametrize("name", [name for name in ONE_OF_A_KIND if name != "conv4"])
def test_momentum_and_epsilon_reach_every_normalisation(name):
    settings = {"batch_norm_momentum": 0.99, "batch_norm_epsilon": 1e-3} | NARROW[name]

    encoder = build_encoder(name, (32, 32, 3), seed=0, **settings)

    found = {
        (layer.momentum, layer.epsilon)
        for layer in encoder.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert found == {(0.99, 1e-3)}


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_every_layer_starts_from_the_seed_and_unlike_the_others(name):
    one, same, other = (
        [
            weight.numpy().ravel()
            for weight in build_encoder(name, (32, 32, 3), seed=seed, **NARROW[name]).weights
            if weight.name == "kernel"
        ]
        for seed in (1, 1, 2)
    )

    for first, second, third in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, third)
    # Draws from one seed keep their ratio whatever the scale of the layer.
    starts = [np.round(kernel[:3] / kernel[0], 4) for kernel in one]
    assert len(np.unique(starts, axis=0)) == len(starts)


def test_settings_reach_the_encoder():
    assert build_encoder("conv4", (32, 32, 1), seed=0, width=12).output_shape == (None, 12)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="unknown encoder 'resnet': expected one of bag_of_patches, conv4"
    ):
        build_encoder("resnet", (32, 32, 1), seed=0)


def test_what_names_a_residual_network_is_not_a_setting():
    with pytest.raises(ValueError, match=r"no setting 'depth'.* stem, width_multiplier, init"):
        build_encoder("resnet18", (32, 32, 3), seed=0, depth=34)


def test_an_unknown_setting_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"conv4 has no setting 'widht'.* width, initializer"):
        build_encoder("conv4", (32, 32, 1), seed=0, widht=12)
