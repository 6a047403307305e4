import numpy as np
import pytest
from scipy import stats

from tests.components.transforms.corruptions.spoilt import applied, drawn, pictures
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    corrupt,
)


def many_of(value, name, severity, count=40_000):
    """Gives what becomes of so many equal values."""
    images = np.full((count // 1600, 40, 40, 1), value, np.uint8)
    key_hashes = np.arange(len(images))
    return corrupt(images, name, severity, seed=0, key_hashes=key_hashes).ravel().astype(float)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise"])
def test_normal_noise_is_added_to_each_value_by_the_formula(name, severity):
    images = pictures()
    draws, scale = drawn(images, name, severity)

    unit = images / 255.0
    expected = unit + scale * draws[0] * (unit if name == "speckle_noise" else 1)

    assert draws[0].shape == images.shape
    np.testing.assert_allclose(applied(images, name, severity, draws), expected, atol=1e-6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_noise_has_its_spread(severity):
    scale = CORRUPTIONS["gaussian_noise"].parameters[severity - 1]

    noise = (many_of(128, "gaussian_noise", severity) + 0.5 - 128) / 255

    # Truncation spreads by a level's width over sqrt(12) more.
    assert noise.std() == pytest.approx(np.hypot(scale, 1 / 255 / np.sqrt(12)), rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=5 * scale / np.sqrt(len(noise)))


@pytest.mark.parametrize("value", [0, 60, 200])
def test_speckle_noise_grows_with_the_value(value):
    noise = many_of(value, "speckle_noise", 2) - value

    assert noise.std() == pytest.approx(0.1 * value, rel=0.02, abs=0.01)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_shot_noise_counts_photons(severity):
    photons = CORRUPTIONS["shot_noise"].parameters[severity - 1]
    images = np.full((1, 100, 100, 1), 102, np.uint8)
    (counts,), _ = drawn(images, "shot_noise", severity)

    result = applied(images, "shot_noise", severity, (counts,))

    np.testing.assert_allclose(result, counts / photons, rtol=1e-6)
    # 102 / 255 = 0.4: so many photons are expected, and a Poisson number's variance is its mean.
    mean = 0.4 * photons
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean) / 100)
    assert counts.var() == pytest.approx(mean, rel=0.08)
    assert (counts == np.rint(counts)).all()


def test_black_catches_no_photons():
    assert not many_of(0, "shot_noise", 5).any()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_strikes_its_share_with_as_much_salt_as_pepper(severity):
    amount = CORRUPTIONS["impulse_noise"].parameters[severity - 1]

    values = many_of(128, "impulse_noise", severity)

    salt, pepper, kept = ((values == one).sum() for one in (255, 0, 128))
    assert salt + pepper + kept == len(values)
    assert stats.binomtest(int(salt + pepper), len(values), amount).pvalue > 1e-3
    assert stats.binomtest(int(salt), int(salt + pepper)).pvalue > 1e-3


def test_impulse_noise_strikes_the_channels_of_a_pixel_apart():
    images = np.full((4, 32, 32, 3), 128, np.uint8)

    struck = corrupt(images, "impulse_noise", 5, seed=0, key_hashes=np.arange(4)) != 128

    assert (struck.sum(axis=-1) == 1).sum() > 20 * (struck.sum(axis=-1) == 3).sum()
