import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components.transforms.geometry.crop import (
    CropParameters,
    CropRanges,
    WindowRanges,
    apply_crop,
    sample_crop,
    sample_window,
)

PHOTOGRAPH = (0.2, 1.0), (3 / 4, 4 / 3)

WHOLE = {"top": 0.0, "left": 0.0, "height": 1.0, "width": 1.0, "flip": False}


def parameters(**named):
    """One box, for a batch of one image."""
    return CropParameters(
        **{
            name: tf.constant([value], tf.bool if name == "flip" else tf.float32)
            for name, value in (WHOLE | named).items()
        }
    )


def cropped(image, **named):
    return apply_crop(tf.constant(image[None]), parameters(**named)).numpy()[0]


def cropped_in_plain_loops(image, top, left, box_height, box_width, flip, side=None):
    """Bilinear sampling at the centres of the box's pixels, one output pixel at a time."""
    height, width, channels = image.shape
    rows, columns = side or height, side or width
    result = np.zeros((rows, columns, channels), np.float64)
    for row in range(rows):
        for column in range(columns):
            y = (top + box_height * (row + 0.5) / rows) * height - 0.5
            x = (left + box_width * (column + 0.5) / columns) * width - 0.5
            y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            y_floor, x_floor = math.floor(y), math.floor(x)
            y_next, x_next = min(y_floor + 1, height - 1), min(x_floor + 1, width - 1)
            y_share, x_share = y - y_floor, x - x_floor
            above = (1 - x_share) * image[y_floor, x_floor] + x_share * image[y_floor, x_next]
            below = (1 - x_share) * image[y_next, x_floor] + x_share * image[y_next, x_next]
            target = columns - 1 - column if flip else column
            result[row, target] = (1 - y_share) * above + y_share * below
    return result


@pytest.mark.parametrize("shape", [(8, 8, 1), (49, 31, 3), (96, 7, 3)])
def test_the_whole_image_gives_itself_back_exactly(images, shape):
    image = images(*shape)

    np.testing.assert_array_equal(cropped(image), image)


def test_a_flip_mirrors_left_to_right(images):
    image = images(7, 12, 3)

    np.testing.assert_array_equal(cropped(image, flip=True), image[:, ::-1])


def test_a_quarter_of_a_two_by_two_image_is_one_pixel():
    image = np.arange(4, dtype=np.float32).reshape(2, 2, 1) / 4

    corner = cropped(image, top=0.5, left=0.0, height=0.5, width=0.5)

    # The source positions .75 and 1.25 of the rows (1 is the last), -.25 and .25 of the columns.
    np.testing.assert_allclose(corner[..., 0], np.array([[1.5, 1.75], [2.0, 2.25]]) / 4)


def test_the_whole_image_at_half_its_side_is_the_mean_of_two_by_two_pixels(images):
    image = images(8, 8, 3)

    result = apply_crop(tf.constant(image[None]), parameters(), side=4).numpy()[0]

    # Half way between two pixels, in both directions.
    expected = image.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_side_gives_squares_of_images_that_are_none(images):
    image = images(8, 12, 3)

    result = apply_crop(tf.constant(image[None]), parameters(flip=True), side=4).numpy()[0]

    # The middle one of each three columns.
    expected = image[:, 1::3].reshape(4, 2, 4, 3).mean(axis=1)[:, ::-1]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_an_image_can_be_enlarged_by_a_side(images):
    image = images(3, 3, 1)

    result = apply_crop(tf.constant(image[None]), parameters(), side=9).numpy()[0]

    # The centre of each pixel is the middle one of the three that it becomes.
    np.testing.assert_allclose(result[1::3, 1::3], image, atol=1e-6)


def test_the_images_own_side_changes_nothing(images, keys):
    batch = tf.constant(images(6, 11, 11, 3))
    drawn = sample_crop(keys(6), CropRanges(*PHOTOGRAPH))

    np.testing.assert_array_equal(apply_crop(batch, drawn, side=11), apply_crop(batch, drawn))


@pytest.mark.parametrize("side", [None, 5, 20])
def test_equals_bilinear_sampling_in_plain_loops(execute, images, keys, side):
    batch = images(6, 9, 12, 3)
    drawn = sample_crop(keys(6), CropRanges(area=(0.1, 1.0), aspect=(0.5, 2.0)))
    boxes = (drawn.top, drawn.left, drawn.height, drawn.width, drawn.flip)
    assert 0 < np.count_nonzero(drawn.flip) < 6

    @execute
    def run(batch, *boxes):
        return apply_crop(batch, CropParameters(*boxes), side)

    result = run(tf.constant(batch), *boxes).numpy()

    for row, (image, view) in enumerate(zip(batch, result, strict=True)):
        top, left, tall, wide, flip = (part.numpy()[row] for part in boxes)
        expected = cropped_in_plain_loops(image, top, left, tall, wide, flip, side)
        np.testing.assert_allclose(view, expected, atol=1e-5)


def test_linear_aspects_are_uniform(keys):
    ranges = CropRanges(area=(0.1, 0.5), aspect=(3 / 4, 4 / 3), aspect_scale="linear")
    drawn = sample_crop(keys(20_000), ranges)

    aspects = (drawn.width / drawn.height).numpy()
    expected = stats.uniform(3 / 4, 4 / 3 - 3 / 4)
    assert stats.kstest(aspects, expected.cdf).pvalue > 0.001
    # (1 - 3/4) / (4/3 - 3/4) are upright; of log-uniform ones half are.
    assert np.mean(aspects < 1) == pytest.approx(0.4286, abs=0.015)


def test_areas_and_aspects_fill_their_ranges_evenly(keys):
    drawn = sample_crop(keys(20_000), CropRanges(area=(0.1, 0.5), aspect=(3 / 4, 4 / 3)))

    height, width = drawn.height.numpy(), drawn.width.numpy()
    areas = (height * width - 0.1) / 0.4
    aspects = (np.log(width / height) - math.log(3 / 4)) / math.log(16 / 9)
    for shares in (areas, aspects):
        assert -1e-5 < shares.min() < 0.001
        assert 0.999 < shares.max() < 1 + 1e-5
        assert stats.kstest(shares, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(areas, aspects)[0, 1]) < 0.03


def test_boxes_lie_evenly_within_the_image(keys):
    drawn = sample_crop(keys(20_000), CropRanges(area=(0.1, 1.0), aspect=(0.3, 3.0)))

    for start, length in ((drawn.top, drawn.height), (drawn.left, drawn.width)):
        start, length = start.numpy(), length.numpy()
        assert start.min() >= 0.0
        assert (start + length).max() <= 1.0 + 1e-6
        assert length.min() > 0.0
        room = length < 0.9
        places = start[room] / (1 - length[room])
        assert stats.kstest(places, "uniform").pvalue > 1e-3


def test_a_box_wider_than_the_image_is_cut_to_its_width(keys):
    drawn = sample_crop(keys(100), CropRanges(area=(1.0, 1.0), aspect=(2.0, 2.0)))

    np.testing.assert_allclose(drawn.width, 1.0)
    np.testing.assert_allclose(drawn.height, math.sqrt(0.5), rtol=1e-6)
    np.testing.assert_array_equal(drawn.left, 0.0)


def test_half_of_the_crops_are_flipped_or_none(keys):
    some = keys(20_000)

    flipped = np.count_nonzero(sample_crop(some, CropRanges(*PHOTOGRAPH, flip=True)).flip)
    assert stats.binomtest(flipped, 20_000).pvalue > 1e-3
    assert np.count_nonzero(sample_crop(some, CropRanges(*PHOTOGRAPH, flip=False)).flip) == 0


def test_the_draws_are_the_same_in_every_execution(execute, keys):
    some = keys(3_000)

    def draw(some):
        drawn = sample_crop(some, CropRanges(*PHOTOGRAPH))
        return drawn.top, drawn.left, drawn.height, drawn.width, tf.cast(drawn.flip, tf.float32)

    for result, eager in zip(execute(draw)(some), draw(some), strict=True):
        np.testing.assert_allclose(result.numpy(), eager.numpy(), rtol=0, atol=1e-6)


def test_a_window_has_one_share_of_both_sides_and_lies_evenly(keys):
    drawn = sample_window(keys(20_000), WindowRanges((0.5, 0.9)), 20, 40)

    np.testing.assert_array_equal(drawn.height, drawn.width)
    places = [drawn.top / (1 - drawn.height), drawn.left / (1 - drawn.width)]
    for shares in ((drawn.height - 0.5) / 0.4, *places):
        assert stats.kstest(np.asarray(shares), "uniform").pvalue > 1e-3
    assert stats.binomtest(np.count_nonzero(drawn.flip), 20_000).pvalue > 1e-3


def test_a_window_of_whole_pixels_has_every_side_and_place_alike(keys):
    ranges = WindowRanges((24 / 32, 31 / 32), whole_pixels=True)

    drawn = sample_window(keys(20_000), ranges, 32, 32)

    sides, tops = drawn.height.numpy() * 32, drawn.top.numpy() * 32
    assert set(sides) == set(range(24, 32))
    assert stats.chisquare(np.unique(sides, return_counts=True)[1]).pvalue > 1e-3
    smallest = tops[sides == 24]
    assert set(smallest) == set(range(9))
    assert stats.chisquare(np.unique(smallest, return_counts=True)[1]).pvalue > 1e-3


def test_a_window_of_whole_pixels_is_cut_out_and_resized(images):
    image = images(8, 8, 3)

    result = cropped(image, top=2 / 8, left=1 / 8, height=6 / 8, width=6 / 8)

    expected = tf.image.resize(image[2:8, 1:7], (8, 8)).numpy()
    # At the edge of the cut the box sees the pixels beyond it, and the resized cut does not.
    np.testing.assert_allclose(result[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-6)


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match=r"side must be two numbers .* received \(0\.5, 1\.5\)"):
        WindowRanges((0.5, 1.5))
