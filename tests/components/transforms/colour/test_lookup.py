import numpy as np
import tensorflow as tf

from twofold.components.transforms.colour import lookup


def pixels(*values):
    """One image of one row and one channel."""
    return tf.constant(np.reshape(values, [1, 1, -1, 1]), tf.int32)


def mapped(image, tables):
    return lookup.apply_tables(image, tables).numpy()[0, 0, :, 0].tolist()


def test_autocontrast_stretches_from_darkest_to_lightest():
    # (60 - 50) * 255 / 40 = 63.75.
    image = pixels(50, 60, 70, 90)

    assert mapped(image, lookup.autocontrast_tables(image)) == [0, 63, 127, 255]


def test_equalise_evens_out_a_histogram():
    # 510 of the 514 pixels are not the lightest value, so that two share an output value.
    values = [10] * 255 + [20] * 255 + [30] * 4
    image = pixels(*values)

    result = mapped(image, lookup.equalise_tables(image))

    assert result == [0] * 255 + [128] * 255 + [255] * 4


def test_equalise_leaves_fewer_than_256_pixels_alone():
    image = pixels(3, 14, 15, 92, 65)

    assert mapped(image, lookup.equalise_tables(image)) == [3, 14, 15, 92, 65]


def test_solarise_inverts_from_the_threshold_on():
    image = pixels(0, 99, 100, 255)

    assert mapped(image, lookup.solarise_tables(image, tf.constant([100.0]))) == [0, 99, 155, 0]


def test_posterise_keeps_the_high_bits():
    image = pixels(0, 15, 16, 0b10110111)

    assert mapped(image, lookup.posterise_tables(image, tf.constant([4]))) == [0, 0, 16, 0b10110000]


def test_each_image_and_channel_has_its_own_table():
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3)), tf.int32)
    tables = np.random.default_rng(1).integers(0, 256, (2, 3, 256))

    result = lookup.apply_tables(image, tf.constant(tables, tf.int32)).numpy()

    for place in np.ndindex(2, 3, 4, 3):
        row, _, _, channel = place
        assert result[place] == tables[row, channel, image.numpy()[place]]
