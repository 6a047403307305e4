import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder
from twofold.components.errors import ConversionError
from twofold.components.export.convert.convert_keras import save_keras
from twofold.components.transforms.views import to_unit_range

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), np.uint8)


@pytest.fixture(scope="module")
def encoder():
    encoder = build_encoder("core", (32, 32, 1), seed=0, units=(20, 8))
    random = np.random.default_rng(0)
    for layer in encoder.layers:
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(random.normal(size=layer.moving_mean.shape))
    return encoder


def test_the_model_and_its_weights_load_in_keras_and_give_the_features(encoder, tmp_path):
    found = save_keras(encoder, tmp_path, IMAGES)

    assert [one.path.name for one in found] == ["encoder.keras", "encoder.weights.h5"]
    assert sorted(tmp_path.iterdir()) == sorted(one.path for one in found)
    features = np.asarray(encoder(to_unit_range(IMAGES), training=False))
    model = keras.saving.load_model(tmp_path / "encoder.keras", compile=False)
    other = build_encoder("core", (32, 32, 1), seed=1, units=(20, 8))
    other.load_weights(tmp_path / "encoder.weights.h5")
    for loaded in (model, other):
        answer = np.asarray(loaded(to_unit_range(IMAGES), training=False))
        np.testing.assert_allclose(answer, features, atol=1e-5 * np.abs(features).max())
    assert all(one.largest_difference < 1e-5 for one in found)


def test_a_model_that_keras_alone_cannot_load_is_refused_and_no_file_is_left(tmp_path):
    @keras.saving.register_keras_serializable("only_here")
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    images = keras.Input((32, 32, 1))
    model = keras.Model(images, keras.layers.Flatten()(Doubled()(images)))

    with pytest.raises(ConversionError, match=r"layers that Keras alone does not know: Doubled"):
        save_keras(model, tmp_path, IMAGES)

    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_are_refused(encoder, tmp_path):
    with pytest.raises(ValueError, match=r"must be uint8 \[N, 32, 32, 1\], received uint8 \[5, 32"):
        save_keras(encoder, tmp_path, IMAGES[:, :, :16])
