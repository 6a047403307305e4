import numpy as np
import pytest

from components.encoders import ENCODERS, build_encoder


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_built_by_its_name(name):
    encoder = build_encoder(name, (32, 36, 3), seed=0)

    assert encoder.name == name
    features = encoder(np.zeros((2, 32, 36, 3), np.float32), training=False)
    assert features.shape == (2, encoder.output_shape[-1])


def test_settings_reach_the_encoder():
    assert build_encoder("conv4", (32, 32, 1), seed=0, width=12).output_shape == (None, 12)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown encoder 'resnet': expected one of conv4, core"):
        build_encoder("resnet", (32, 32, 1), seed=0)


def test_an_unknown_setting_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"conv4 has no setting 'widht'.* width, initializer"):
        build_encoder("conv4", (32, 32, 1), seed=0, widht=12)
