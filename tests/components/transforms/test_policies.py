import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from twofold.components.transforms.consistency.consistency_views import torchvision_noise
from twofold.components.transforms.policies import build_policy
from twofold.components.transforms.settings import VIEWS
from twofold.components.transforms.views import make_views

RANDOM = sorted(set(VIEWS) - {"none"})
HEIGHT, WIDTH = 20, 24
# Policies of the same operations as another one, from which they differ in numbers alone.
OTHER_NUMBERS = {"simclr_weak", "nnclr_weak", "barlow", "byol_a"}
# The side of squares, of policies that do not keep the image's own size.
SIDES = {"patches": 16, "resized_window": 72, "randaugment_tf_models": 72}


def batch_of(count, channels=3):
    """Coloured waves, so that crops and shifts change a lot and rounding little."""
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] / 6
    phases = random.uniform(0, 6, (2, count, 1, 1, channels))
    waves = np.sin(rows[..., None] + phases[0]) * np.cos(columns[..., None] + phases[1])
    return tf.constant((127.5 + 127.5 * waves).astype(np.uint8))


@functools.cache
def published_views(name):
    """Gives two views of six images by a policy with its published settings, and their keys."""
    keys = tf.constant(np.random.default_rng(11).integers(0, 2**32, 6), tf.uint32)
    return views_of(build_policy(name), batch_of(6), keys), keys


def views_of(policy, batch, keys, count=2):
    return make_views([policy] * count, batch, keys).numpy()


def check_views(views, name, channels):
    side = SIDES.get(name)
    assert views.shape[2:] == (side or HEIGHT, side or WIDTH, channels)
    assert views.dtype == np.float32
    assert views.min() >= 0.0
    assert views.max() <= 1.0
    assert views.max() > 0.5


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_float_images_in_the_unit_range(name):
    check_views(published_views(name)[0], name, channels=3)


@pytest.mark.parametrize("name", VIEWS)
def test_grey_images_of_one_channel_have_views_too(keys, name):
    check_views(views_of(build_policy(name), batch_of(6, 1), keys(6), count=1), name, channels=1)


@pytest.mark.parametrize(
    "name",
    # Compiling one takes a second or two.
    [pytest.param(one, marks=[pytest.mark.long] * (one in OTHER_NUMBERS)) for one in VIEWS],
)
def test_compiled_views_are_the_eager_ones(name):
    views, keys = published_views(name)
    policy = build_policy(name)

    @functools.partial(tf.function, jit_compile=True)
    def compiled(batch, keys):
        return make_views([policy], batch, keys)

    # RandAugment rounds to bytes, and the crop before it may differ in its last bit.
    bound = 1.01 / 255 if name.startswith("randaugment") else 1e-5
    np.testing.assert_allclose(compiled(batch_of(6), keys)[0], views[0], atol=bound)


@pytest.mark.parametrize("name", RANDOM)
def test_two_views_of_an_image_differ(name):
    (one, other), _ = published_views(name)

    assert np.all(np.abs(one - other).max(axis=(1, 2, 3)) > 0.01)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_belongs_to_the_image_and_its_key_and_not_to_its_row(name):
    views, keys = published_views(name)
    order = [4, 1, 5]

    chosen = views_of(
        build_policy(name), tf.gather(batch_of(6), order), tf.gather(keys, order), count=1
    )

    np.testing.assert_allclose(chosen[0], views[0][order], atol=1e-6)


def test_no_policy_gives_the_image_itself(keys):
    batch = batch_of(3)

    np.testing.assert_array_equal(
        views_of(build_policy("none"), batch, keys(3), 1)[0], batch.numpy() / np.float32(255)
    )


WITHOUT_CHANGE = {
    "affine": {"rotation_degrees": 0.0, "translation": 0.0, "scale": (1.0, 1.0)},
    "crop": {"area": (1.0, 1.0), "aspect": (1.0, 1.0), "flip": False, "brightness": 0.0}
    | {"jitter": 0.0},
}


@pytest.mark.parametrize("name", WITHOUT_CHANGE)
def test_ranges_without_extent_give_the_image_back(keys, name):
    batch = batch_of(4)

    views = views_of(build_policy(name, **WITHOUT_CHANGE[name]), batch, keys(4), 1)

    np.testing.assert_allclose(views[0], batch.numpy() / 255, atol=1e-6)


STILL = {"jitter_probability": 0.0, "grey_probability": 0.0, "blur_probability": 0.0}
WHOLE = {"area": (1.0, 1.0), "aspect": (1.0, 1.0)}
FLIPPED_ONLY: dict[str, dict[str, Any]] = {
    "simclr_strong": {"min_area": 1.0, "brightness": 0.0, "jitter": 0.0},
    "nnclr": WHOLE | {"brightness": 0.0},
    "barlow": STILL | {"crop": (1.0, 1.0)},
    "simclr_imagenet": STILL | WHOLE,
    "byol_b": STILL | WHOLE | {"solarise_probability": 0.0},
    "consistency": {"crop": 1.0},
}


@pytest.mark.parametrize("name", FLIPPED_ONLY)
def test_without_all_else_a_view_is_the_image_or_its_mirror_image(keys, name):
    batch = batch_of(16)
    unit = batch.numpy() / 255

    views = views_of(build_policy(name, **FLIPPED_ONLY[name]), batch, keys(16), 1)[0]

    same = np.abs(views - unit).max(axis=(1, 2, 3)) < 1e-5
    mirrored = np.abs(views - unit[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-5
    assert np.all(same | mirrored)
    assert 0 < same.sum() < 16


def test_a_patch_of_the_whole_image_is_the_image_or_its_mirror_image_in_small(keys):
    batch = batch_of(16)[:, :, :HEIGHT]
    policy = build_policy(
        "patches", side=HEIGHT // 2, jitter_probability=0.0, grey_probability=0.0, **WHOLE
    )

    views = views_of(policy, batch, keys(16), 1)[0]

    half = HEIGHT // 2
    small = (batch.numpy() / 255).reshape(16, half, 2, half, 2, 3).mean(axis=(2, 4))
    same = np.abs(views - small).max(axis=(1, 2, 3)) < 1e-5
    mirrored = np.abs(views - small[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-5
    assert np.all(same | mirrored)
    assert 0 < same.sum() < 16


def test_patches_are_jittered_with_their_strength(keys):
    always = {"jitter_probability": 1.0, "grey_probability": 0.0}
    batch, some = batch_of(6), keys(6)

    never, weakest, strongest = (
        views_of(build_policy("patches", **(always | settings)), batch, some, 1)
        for settings in ({"jitter_probability": 0.0}, {"strength": 0.0}, {})
    )

    # Without strength only rounding is left of the jitter.
    np.testing.assert_allclose(weakest, never, atol=1e-5)
    assert np.all(np.abs(strongest - never).max(axis=(0, 2, 3, 4)) > 0.02)


@pytest.mark.parametrize("name", ["barlow", "simclr_imagenet", "byol_a", "patches"])
def test_a_grey_probability_of_one_leaves_no_colour(keys, name):
    views = views_of(build_policy(name, grey_probability=1.0), batch_of(6), keys(6))

    assert np.ptp(views, axis=-1).max() < 1e-6


def test_solarisation_leaves_nothing_brighter_than_its_threshold(keys):
    policy = build_policy("byol_b", solarise_probability=1.0)

    assert views_of(policy, batch_of(6), keys(6)).max() <= 0.5


def test_the_noise_alone_keeps_the_crop(keys):
    batch = batch_of(4)

    views = make_views([torchvision_noise(layers=1, magnitude=0)], batch, keys(4)).numpy()[0]

    # Without magnitude only autocontrast and equalise, of fourteen, change an image.
    unchanged = np.abs(views - batch.numpy() / 255).max(axis=(1, 2, 3)) < 1e-6
    assert unchanged.any()


def test_a_window_is_cut_from_the_resized_image_in_whole_pixels(keys):
    batch = batch_of(16)[:, :, :HEIGHT]
    resized = tf.image.resize(tf.cast(batch, tf.float32) / 255, [24, 24]).numpy()
    policy = build_policy("resized_window", resized=24, side=18)

    views = views_of(policy, batch, keys(16), 1)[0]

    places = set()
    for view, image in zip(views, resized, strict=True):
        found = [
            (top, left, flip)
            for top, left, flip in np.ndindex(7, 7, 2)
            if np.allclose(
                view[:, :: 1 - 2 * flip], image[top : top + 18, left : left + 18], atol=1e-5
            )
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 10
    assert {flip for _, _, flip in places} == {0, 1}


def test_the_policy_of_earlier_versions_is_torchvisions():
    former = VIEWS.validate({"policy": "randaugment", "magnitude": 5})

    assert former.policy == "randaugment_torchvision"
    assert former == VIEWS.validate({"policy": "randaugment_torchvision", "magnitude": 5})


def test_an_unknown_policy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown policy 'mirror'.*affine, barlow, barlow_corr"):
        build_policy("mirror")


@pytest.mark.parametrize(
    ("name", "expected"), [("nnclr", "expected some of area, aspect"), ("none", "it has none")]
)
def test_an_unknown_setting_is_refused_with_the_known_ones(name, expected):
    with pytest.raises(ValueError, match=rf"{name} has no setting 'sharpness': {expected}"):
        build_policy(name, sharpness=1.0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("simclr_strong", {"min_area": 1.5}),
        ("nnclr", {"area": (0.9, 0.2)}),
        ("nnclr", {"aspect": (0.0, 1.0)}),
        ("nnclr", {"brightness": 2.0}),
        ("barlow", {"crop": (0.5, 1.5)}),
        ("barlow", {"hue": 0.6}),
        ("barlow", {"blur_probability": -0.1}),
        ("barlow", {"contrast": -1.0}),
        ("byol_a", {"sigma": (2.0, 0.1)}),
        ("byol_b", {"solarise_threshold": 128.0}),
        ("byol_b", {"blur_share": 3.0}),
        ("simclr_imagenet", {"strength": 3.0}),
        ("patches", {"side": 0}),
        ("patches", {"area": (0.0, 0.5)}),
        ("patches", {"strength": 3.0}),
        ("patches", {"grey_probability": 1.5}),
        ("consistency", {"crop": 0.0}),
        ("resized_window", {"side": 97}),
        ("randaugment_torchvision", {"magnitude": 31}),
        ("randaugment_tf_models", {"magnitude": 11}),
        ("randaugment_tf_models", {"cutout": -1.0}),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_its_name(name, settings):
    (field,) = settings

    with pytest.raises(ValueError, match=f"^{field} must be .* received"):
        build_policy(name, **settings)
