"""TF Models' RandAugment, by the formulas of each operation; see also tests/fidelity."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components.transforms.consistency.randaugment_tf_models import (
    OPERATIONS,
    TFModelsParameters,
    TFModelsRandAugment,
    apply_tf_models,
    sample_tf_models,
)

HEIGHT, WIDTH = 17, 22
CENTRE = (5, 14)
PUBLISHED = TFModelsRandAugment(layers=1, magnitude=9)
# Of which 9 tenths are 6 and 4 pixels.
SMALL = TFModelsRandAugment(layers=1, magnitude=9, cutout=5.0, translation=7.0)


def noise(count=1, channels=3):
    random = np.random.default_rng(3)
    return random.integers(0, 256, (count, HEIGHT, WIDTH, channels)).astype(np.uint8)


def parameters_of(names, negative=False):
    """One layer, of one operation for each image."""
    count = len(names)
    return TFModelsParameters(
        operation=tf.constant([[OPERATIONS.index(name)] for name in names]),
        is_negative=tf.fill([count, 1], negative),
        centre=tf.tile(tf.constant([[CENTRE]]), [count, 1, 1]),
    )


def steps(images):
    """Counts the 255ths of images in [0, 1], which must be whole."""
    counted = np.rint(np.asarray(images) * 255)
    np.testing.assert_allclose(images, counted / 255, atol=1e-6)
    return counted.astype(int)


def applied(images, name, augmentation=PUBLISHED, *, negative=False):
    unit = tf.constant(images / np.float32(255))
    parameters = parameters_of([name] * len(images), negative)
    return steps(apply_tf_models(unit, parameters, augmentation))


def blended(image, degenerate):
    """Goes 1.72 times the way from the degenerate image; floor and clip."""
    way = image.astype(int) - degenerate
    return np.clip((100 * degenerate + 172 * way) // 100, 0, 255)


def stretched(image):
    """Each channel's darkest value to 0, its lightest to 255."""
    low, high = image.min(axis=(0, 1)).astype(float), image.max(axis=(0, 1)).astype(float)
    return np.floor((image - low) * 255 / (high - low) + 1e-9)


def evened(image):
    """Each value to the share of the pixels below it, in steps of (pixels - lightest) / 255."""
    result = np.zeros_like(image, int)
    for channel in range(image.shape[-1]):
        values = image[..., channel]
        step = (values.size - np.count_nonzero(values == values.max())) // 255
        below = np.array([np.count_nonzero(values < value) for value in range(256)])
        result[..., channel] = np.minimum((below + step // 2) // step, 255)[values]
    return result


def smoothed(image):
    result = image.astype(int)
    for row, column in np.ndindex(HEIGHT - 2, WIDTH - 2):
        square = image[row : row + 3, column : column + 3].astype(int)
        total = square.sum(axis=(0, 1)) + 4 * square[1, 1]
        result[row + 1, column + 1] = total // 13
    return result


def grey(image):
    luma = image @ np.array([0.2989, 0.587, 0.114])
    return np.floor(luma / 255 * 255.5).astype(int)[..., None]


POINTWISE = {
    "identity": lambda image: image,
    "invert": lambda image: 255 - image.astype(int),
    "posterise": lambda image: image // 32 * 32,
    "solarise": lambda image: np.where(image < 230, image, 255 - image),
    "solarise_add": lambda image: np.where(image < 128, np.minimum(image + 99.0, 255), image),
    "autocontrast": stretched,
    "colour": lambda image: blended(image, grey(image)),
    "contrast": lambda image: blended(image, HEIGHT * WIDTH // 256),
    "brightness": lambda image: blended(image, 0),
    "sharpness": lambda image: blended(image, smoothed(image)),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_an_operation_computes_its_formula(name):
    image = noise()[0]

    apart = np.abs(applied(image[None], name)[0] - POINTWISE[name](image))

    # The package's float32 falls short of a whole number in some places.
    assert apart.max() <= (1 if name == "autocontrast" else 0)
    assert np.mean(apart) < 0.02


def test_equalise_evens_out_the_histogram():
    image = noise()[0] // 4

    np.testing.assert_array_equal(applied(image[None], "equalise")[0], evened(image))


def reflected(position, side):
    """Folds a place into an axis that goes on as c b a | a b c | c b a."""
    place = int(np.floor(position + 0.5)) % (2 * side)
    return min(place, 2 * side - 1 - place)


def source(name, sign, column, row):
    """Where a pixel comes from, counted from the centre of the first one."""
    angle = np.radians(27.0 * sign)
    x, y = column - (WIDTH - 1) / 2, row - (HEIGHT - 1) / 2
    return {
        "rotate": (
            np.cos(angle) * x - np.sin(angle) * y + (WIDTH - 1) / 2,
            np.sin(angle) * x + np.cos(angle) * y + (HEIGHT - 1) / 2,
        ),
        "shear_x": (column + sign * 0.27 * row, row),
        "shear_y": (column, row + sign * 0.27 * column),
        "translate_x": (column + sign * 90, row),
        "translate_y": (column, row + sign * 90),
    }[name]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_a_geometric_operation_takes_the_nearest_pixel_of_the_reflected_image(name, sign):
    image = noise()[0]
    expected = np.zeros_like(image)
    for row, column in np.ndindex(HEIGHT, WIDTH):
        x, y = source(name, sign, column, row)
        expected[row, column] = image[reflected(y, HEIGHT), reflected(x, WIDTH)]

    np.testing.assert_array_equal(applied(image[None], name, negative=sign < 0)[0], expected)


def test_a_cutout_is_a_grey_square_about_its_centre():
    image = noise()[0]
    expected = image.astype(int)
    expected[5 - 4 : 5 + 4, 14 - 4 : 14 + 4] = 128

    np.testing.assert_array_equal(applied(image[None], "cutout", SMALL)[0], expected)


def test_the_published_cutout_leaves_a_quarter_of_an_image_at_its_corner():
    images = np.zeros((1, 72, 72, 3), np.uint8)
    corner = TFModelsParameters(
        tf.constant([[OPERATIONS.index("cutout")]]),
        tf.constant([[False]]),
        tf.zeros([1, 1, 2], "int32"),
    )

    result = steps(apply_tf_models(tf.constant(images / np.float32(255)), corner, PUBLISHED))[0]

    # 36 pixels either way of the corner, of which a quarter lies in the image.
    assert np.all(result[:36, :36] == 128)
    assert np.count_nonzero(result) == 3 * 36 * 36


def test_strengths_of_magnitude_nine_are_those_of_the_package():
    expected = {
        "rotate": 27.0,
        "posterise": 3,
        "solarise": 230,
        "solarise_add": 99,
        "colour": 1.72,
        "contrast": 1.72,
        "brightness": 1.72,
        "sharpness": 1.72,
        "shear_x": 0.27,
        "shear_y": 0.27,
        "translate_x": 90,
        "translate_y": 90,
        "cutout": 36,
    }
    for name in OPERATIONS:
        assert PUBLISHED.strength(name) == pytest.approx(expected.get(name, 0.0)), name


def test_each_image_of_a_batch_passes_its_own_operation():
    images = np.repeat(noise(), len(OPERATIONS), axis=0)
    unit = tf.constant(images / np.float32(255))

    together = steps(apply_tf_models(unit, parameters_of(OPERATIONS), SMALL))

    for row, name in enumerate(OPERATIONS):
        np.testing.assert_array_equal(
            together[row], applied(images[:1], name, SMALL)[0], err_msg=name
        )


def test_layers_follow_each_other():
    images = noise(3)
    names = ("shear_x", "equalise", "sharpness", "cutout")
    expected = images
    for name in names:
        expected = applied(expected, name, SMALL)

    one = parameters_of(names)
    row = TFModelsParameters(
        *(
            tf.repeat(tf.reshape(value, [1, len(names), *value.shape[2:]]), 3, axis=0)
            for value in (one.operation, one.is_negative, one.centre)
        )
    )
    augmentation = TFModelsRandAugment(len(names), 9, SMALL.cutout, SMALL.translation)
    result = steps(apply_tf_models(tf.constant(images / np.float32(255)), row, augmentation))

    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_execution_gives_the_same_views(execute, keys, channels):
    augmentation = TFModelsRandAugment(layers=2, magnitude=7)
    batch, some = tf.constant(noise(40, channels) / np.float32(255)), keys(40)

    def augment(batch, some):
        drawn = sample_tf_models(some, augmentation, HEIGHT, WIDTH)
        return apply_tf_models(batch, drawn, augmentation)

    np.testing.assert_array_equal(steps(execute(augment)(batch, some)), steps(augment(batch, some)))


def test_all_operations_and_none_are_equally_likely_in_every_layer(keys):
    drawn = sample_tf_models(keys(20_000), TFModelsRandAugment(2, 9), 72, 72)

    operation = drawn.operation.numpy()
    counts = np.bincount(operation[:, 0] * 17 + operation[:, 1], minlength=17 * 17)
    assert len(counts) == 17 * 17
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.binomtest(int(drawn.is_negative.numpy()[:, 0].sum()), 20_000).pvalue > 1e-3


def test_the_centre_of_a_cutout_is_any_pixel(keys):
    centre = sample_tf_models(keys(20_000), TFModelsRandAugment(1, 9), 6, 8).centre.numpy()[:, 0]

    counts = np.bincount(centre[:, 0] * 8 + centre[:, 1], minlength=48)
    assert len(counts) == 48
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("field", "value"),
    [("layers", 0), ("magnitude", 0), ("magnitude", 11), ("cutout", -1.0), ("translation", -1.0)],
)
def test_a_number_out_of_its_range_is_refused_by_its_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .* received"):
        TFModelsRandAugment(**{"layers": 2, "magnitude": 9, field: value})


def test_an_unknown_operation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"operation must be one of autocontrast, .*received 'x'"):
        PUBLISHED.strength("x")
