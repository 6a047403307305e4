import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.data.sources import build_source
from twofold.components.data.sources import sprites as dsprites


def test_agrees_with_the_public_set(shared_file):
    # `metadata` in that file is pickled and is never touched.
    with np.load(shared_file("dsprites/dsprites_subset.npz"), allow_pickle=False) as archive:
        images, classes = archive["imgs"] > 0, archive["latents_classes"]
        values = archive["latents_values"]
    np.testing.assert_allclose(dsprites.latent_values(classes), values, rtol=0, atol=1e-12)
    drawn = dsprites.render(classes)[..., 0] > 0
    overlap = (drawn & images).sum((1, 2)) / (drawn | images).sum((1, 2))
    for shape, name in enumerate(dsprites.SHAPE_NAMES):
        of_shape = overlap[classes[:, 0] == shape]
        assert of_shape.mean() >= 0.99, name
        assert of_shape.min() >= 0.8, name


@given(seed=st.integers(0, 2**64 - 1), images=st.integers(1, 400))
@settings(max_examples=10, deadline=None)
def test_a_subset_is_distinct_and_grows_by_nesting(seed, images):
    rows = {tuple(row) for row in dsprites.subset(images, seed).tolist()}
    assert len(rows) == images
    assert rows <= {tuple(row) for row in dsprites.subset(images + 100, seed).tolist()}


def test_a_subset_spreads_over_every_latent():
    classes = dsprites.subset(20_000, seed=0)
    for column, count in zip(classes.T, dsprites.LATENT_COUNTS, strict=True):
        seen = np.bincount(column, minlength=count)
        assert seen.min() > 0.8 * len(classes) / count
        assert seen.max() < 1.2 * len(classes) / count


def test_seeds_draw_different_subsets():
    first, second = (dsprites.subset(1000, seed).tolist() for seed in (0, 1))
    assert len({tuple(row) for row in first} & {tuple(row) for row in second}) < 20


def test_the_whole_set_is_every_combination():
    rows = dsprites.subset(dsprites.COMBINATIONS, seed=5)
    flat = np.ravel_multi_index(tuple(rows.T), dsprites.LATENT_COUNTS)
    np.testing.assert_array_equal(flat, np.arange(dsprites.COMBINATIONS))


@pytest.mark.parametrize("shape", range(3))
def test_sprites_stay_inside_and_move_with_their_position(shape):
    corners = [[shape, 5, 5, x, y] for x in (0, 31) for y in (0, 31)]
    images = dsprites.render(np.array(corners))[..., 0] > 0
    assert not images[:, [0, -1], :].any()
    assert not images[:, :, [0, -1]].any()
    np.testing.assert_array_equal(np.roll(images[0], 32, axis=1), images[2])
    np.testing.assert_array_equal(np.roll(images[0], 32, axis=0), images[1])


def test_images_are_binary():
    images = dsprites.render(dsprites.subset(50, seed=0))
    assert images.shape == (50, 64, 64, 1)
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {0, 255}


def test_the_latents_and_the_label_can_be_chosen():
    everything = build_source("dsprites", images=40)
    source = build_source(
        "dsprites", images=40, latent_names=["posX", "scale"], label_latent="scale"
    )

    info = source.info()
    assert info.latent_names == ("posX", "scale")
    assert info.class_names == ("0.5", "0.6", "0.7", "0.8", "0.9", "1")
    (task,) = source.tasks(40)
    for item, whole in zip(source.read(task), everything.read(task), strict=True):
        assert item.latents == (whole.latents[3], whole.latents[1])
        assert item.label == round((whole.latents[1] - 0.5) * 10)
    assert info.fingerprint != everything.info().fingerprint


def test_naming_what_is_read_anyway_gives_the_same_data():
    named = build_source("dsprites", latent_names=dsprites.LATENT_NAMES, label_latent="shape")

    assert named.info() == build_source("dsprites").info()
