import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from twofold.components.transforms.consistency.randaugment_torchvision import (
    OPERATIONS,
    SIGNED_OPERATIONS,
    RandAugmentParameters,
    RandAugmentRanges,
    apply_operation,
    apply_randaugment,
    operation_strength,
    sample_randaugment,
)

HEIGHT, WIDTH = 17, 22


@pytest.fixture
def photographs():
    """Gives uint8 images of the asked number of channels: soft shades, noise, and one colour."""
    random = np.random.default_rng(3)

    def make(channels):
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        shades = [40 + 3 * rows + 5 * columns, 250 - 9 * rows, 90 + 2 * rows * columns % 80]
        soft = np.stack(shades[:channels], axis=-1)
        noise = random.integers(0, 256, (HEIGHT, WIDTH, channels))
        plain = np.full((HEIGHT, WIDTH, channels), 77)
        return np.stack([soft, noise, plain]).astype(np.uint8)

    return make


def in_pillow(image, name, strength):
    """The operation on uint8 [H, W, C], by the library that torchvision defers to."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)

    def mapped(*matrix):
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix)

    result = {
        "identity": lambda: picture,
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalise": lambda: ImageOps.equalize(picture),
        "rotate": lambda: picture.rotate(strength),
        "solarise": lambda: ImageOps.solarize(picture, strength),
        "colour": lambda: ImageEnhance.Color(picture).enhance(1 + strength),
        "posterise": lambda: ImageOps.posterize(picture, int(strength)),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(1 + strength),
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(1 + strength),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(1 + strength),
        "shear_x": lambda: mapped(1, strength, 0, 0, 1, 0),
        "shear_y": lambda: mapped(1, 0, 0, strength, 1, 0),
        "translate_x": lambda: mapped(1, 0, -strength, 0, 1, 0),
        "translate_y": lambda: mapped(1, 0, 0, 0, 1, -strength),
    }[name]()
    return np.asarray(result).reshape(image.shape)


def unit(images):
    return tf.constant(images / np.float32(255))


def steps(images):
    """Counts the 255ths of images in [0, 1], which must be whole."""
    counted = np.rint(np.asarray(images) * 255)
    np.testing.assert_allclose(images, counted / 255, atol=1e-6)
    return counted.astype(int)


def strengths(name, magnitude, height=HEIGHT, width=WIDTH):
    strength = operation_strength(name, magnitude, height, width)
    return [strength, -strength] if name in SIGNED_OPERATIONS else [strength]


def every_operation(magnitude, signs=1.0):
    """One layer for 14 images, each its own operation."""
    strength = [operation_strength(name, magnitude, HEIGHT, WIDTH) for name in OPERATIONS]
    signed = [name in SIGNED_OPERATIONS for name in OPERATIONS]
    return RandAugmentParameters(
        operation=tf.range(len(OPERATIONS))[:, None],
        strength=tf.constant(np.where(signed, signs, 1.0) * strength, tf.float32)[:, None],
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_pillows_values(photographs, name, channels):
    images = photographs(channels)
    for magnitude in (0, 9, 30):
        for strength in strengths(name, magnitude):
            expected = np.stack([in_pillow(image, name, strength) for image in images])

            result = steps(apply_operation(unit(images), name, strength))

            apart = np.abs(result - expected.astype(int))
            assert apart.max() <= 1
            # A step apart is where a float of Pillow's falls short of a whole number.
            assert np.mean(apart) < 0.005


@pytest.mark.parametrize("magnitude", [9, 30])
def test_geometric_operations_take_the_nearest_pixel_of_their_formula(photographs, magnitude):
    image = photographs(3)[1]

    def source(name, s, x, y):
        """Where the centre (x, y) of an output pixel comes from."""
        angle = np.radians(s)
        x_centred, y_centred = x - WIDTH / 2, y - HEIGHT / 2
        return {
            "rotate": (
                np.cos(angle) * x_centred - np.sin(angle) * y_centred + WIDTH / 2,
                np.sin(angle) * x_centred + np.cos(angle) * y_centred + HEIGHT / 2,
            ),
            "shear_x": (x + s * y, y),
            "shear_y": (x, y + s * x),
            "translate_x": (x - s, y),
            "translate_y": (x, y - s),
        }[name]

    for name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        for strength in strengths(name, magnitude):
            expected = np.zeros_like(image)
            for row, column in np.ndindex(HEIGHT, WIDTH):
                x, y = source(name, strength, column + 0.5, row + 0.5)
                if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                    expected[row, column] = image[int(y), int(x)]

            result = steps(apply_operation(unit(image[None]), name, strength))[0]

            np.testing.assert_array_equal(result, expected, err_msg=name)


def test_a_positive_angle_turns_anticlockwise(photographs):
    square = photographs(3)[:, :, :HEIGHT]

    turned = steps(apply_operation(unit(square), "rotate", 90.0))

    np.testing.assert_array_equal(turned, np.rot90(square, axes=(1, 2)))


def test_a_positive_translation_moves_right_or_down(photographs):
    images = photographs(1)

    right = steps(apply_operation(unit(images), "translate_x", 3.0))
    down = steps(apply_operation(unit(images), "translate_y", 3.0))

    np.testing.assert_array_equal(right[:, :, 3:], images[:, :, :-3])
    np.testing.assert_array_equal(down[:, 3:], images[:, :-3])
    assert right[:, :, :3].max() == down[:, :3].max() == 0


@pytest.mark.parametrize("name", SIGNED_OPERATIONS)
def test_magnitude_zero_of_a_signed_operation_changes_nothing(photographs, name):
    images = photographs(3)

    for strength in strengths(name, 0):
        result = steps(apply_operation(unit(images), name, strength))
        np.testing.assert_array_equal(result, images)


def test_strengths_of_magnitude_nine_are_torchvisions():
    # 9 of 30 bins; 150 / 331 of 72 pixels is 32.6, and of 96 pixels 43.5.
    expected = {
        "rotate": 9.0,
        "solarise": 178.5,
        "colour": 0.27,
        "posterise": 7,
        "contrast": 0.27,
        "brightness": 0.27,
        "sharpness": 0.27,
        "shear_x": 0.09,
        "shear_y": 0.09,
        "translate_x": 13,
        "translate_y": 9,
    }
    for name in OPERATIONS:
        strength = operation_strength(name, 9, height=72, width=96)
        assert strength == pytest.approx(expected.get(name, 0.0)), name


def test_posterise_drops_a_bit_about_every_eighth_bin():
    # 8 - round(m / 7.5).
    bits = [operation_strength("posterise", magnitude, 72, 72) for magnitude in range(31)]

    assert bits == [8] * 4 + [7] * 8 + [6] * 7 + [5] * 8 + [4] * 4


@pytest.mark.parametrize("magnitude", [9, 30])
def test_each_image_of_a_batch_passes_its_own_operation(photographs, magnitude):
    images = unit(np.repeat(photographs(3)[1:2], len(OPERATIONS), axis=0))
    parameters = every_operation(magnitude)

    together = apply_randaugment(images, parameters).numpy()

    for row, name in enumerate(OPERATIONS):
        alone = apply_operation(images[:1], name, float(parameters.strength[row, 0]))
        np.testing.assert_array_equal(together[row], alone.numpy()[0], err_msg=name)


def test_layers_follow_each_other(photographs):
    images = unit(photographs(3))
    names = ("shear_x", "equalise", "sharpness", "rotate")
    drawn = [(OPERATIONS.index(name), strengths(name, 20)[-1]) for name in names]
    expected = images
    for place, strength in drawn:
        expected = apply_operation(expected, OPERATIONS[place], strength)

    operation, strength = zip(*drawn, strict=True)
    result = apply_randaugment(
        images, RandAugmentParameters(tf.constant([operation] * 3), tf.constant([strength] * 3))
    )

    np.testing.assert_array_equal(result.numpy(), expected.numpy())


def test_every_execution_gives_the_same_views(execute, images, keys):
    ranges = RandAugmentRanges(layers=2, magnitude=13)
    batch, some = tf.constant(images(40, 9, 12, 3)), keys(40)

    def augment(batch, some):
        return apply_randaugment(batch, sample_randaugment(some, ranges, 9, 12))

    result = steps(execute(augment)(batch, some))

    np.testing.assert_array_equal(result, steps(augment(batch, some)))


def test_an_image_of_one_channel_compiles():
    images = tf.constant(np.random.default_rng(5).random((14, HEIGHT, WIDTH, 1), np.float32))
    parameters = every_operation(9)

    @tf.function(jit_compile=True)
    def augment(images):
        return apply_randaugment(images, parameters)

    expected = steps(apply_randaugment(images, parameters))
    np.testing.assert_array_equal(steps(augment(images)), expected)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_values_stay_between_zero_and_one(images, sign):
    views = apply_randaugment(
        tf.constant(images(14, HEIGHT, WIDTH, 3)), every_operation(30, sign)
    ).numpy()

    assert views.dtype == np.float32
    assert views.min() >= 0.0
    assert views.max() <= 1.0


def test_a_view_belongs_to_the_key_and_not_to_the_row(images, keys):
    batch, some = tf.constant(images(12, 8, 8, 3)), keys(12)
    order = [7, 2, 11, 2]

    def augment(batch, some):
        drawn = sample_randaugment(some, RandAugmentRanges(2, 9), 8, 8)
        return apply_randaugment(batch, drawn).numpy()

    picked = augment(tf.gather(batch, order), tf.gather(some, order))

    np.testing.assert_array_equal(picked, augment(batch, some)[order])


def test_operations_are_equally_likely_and_independent_between_layers(keys):
    drawn = sample_randaugment(keys(20_000), RandAugmentRanges(2, 9), 72, 72)

    operation = drawn.operation.numpy()
    for layer in (0, 1):
        counts = np.bincount(operation[:, layer], minlength=14)
        assert len(counts) == 14
        assert stats.chisquare(counts).pvalue > 1e-3
    pairs = np.bincount(operation[:, 0] * 14 + operation[:, 1], minlength=14 * 14)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_half_of_the_signed_strengths_are_negative(keys):
    drawn = sample_randaugment(keys(20_000), RandAugmentRanges(1, 9), 72, 72)

    operation, strength = drawn.operation.numpy()[:, 0], drawn.strength.numpy()[:, 0]
    for place, name in enumerate(OPERATIONS):
        chosen = strength[operation == place]
        size = np.float32(operation_strength(name, 9, 72, 72))
        np.testing.assert_array_equal(np.abs(chosen), size)
        negative = np.count_nonzero(chosen < 0)
        if name in SIGNED_OPERATIONS:
            assert stats.binomtest(negative, len(chosen)).pvalue > 1e-3
        else:
            assert negative == 0


def test_the_draws_are_the_same_in_every_execution(execute, keys):
    some = keys(1_000)

    def draw(some):
        drawn = sample_randaugment(some, RandAugmentRanges(3, 9), 60, 80)
        return drawn.operation, drawn.strength

    for result, eager in zip(execute(draw)(some), draw(some), strict=True):
        np.testing.assert_array_equal(result.numpy(), eager.numpy())


@pytest.mark.parametrize("layers", [0, -1])
def test_fewer_than_one_layer_is_refused(layers):
    with pytest.raises(ValueError, match=f"layers must be at least 1, received {layers}"):
        RandAugmentRanges(layers, 9)


@pytest.mark.parametrize("magnitude", [-1, 31])
def test_a_magnitude_off_the_scale_is_refused(magnitude):
    with pytest.raises(ValueError, match=f"magnitude must be from 0 to 30, received {magnitude}"):
        RandAugmentRanges(2, magnitude)
    with pytest.raises(ValueError, match=f"magnitude must be from 0 to 30, received {magnitude}"):
        operation_strength("rotate", magnitude, 4, 4)


def test_an_unknown_operation_is_refused_with_the_known_ones(images):
    message = r"operation must be one of identity, .*translate_y; received 'invert'"
    with pytest.raises(ValueError, match=message):
        apply_operation(tf.constant(images(1, 4, 4, 3)), "invert", 0.0)
    with pytest.raises(ValueError, match=message):
        operation_strength("invert", 9, 4, 4)
