"""Pictures of what methods draw, and of matrices."""

import numpy as np

from twofold.components.training.method import Picture
from twofold.components.training.tensorboard.picture_grids import draw_matrix, draw_picture


def test_originals_stand_above_what_is_made_of_them() -> None:
    originals = np.zeros((3, 32, 32, 3), np.uint8)
    drawn = draw_picture(Picture(np.ones((3, 32, 32, 3)), originals, "reconstruction"))

    # Twice as large, two pixels apart.
    assert drawn.shape == (2 * 66, 3 * 66, 3)
    assert (drawn[:64, :64] == 0).all()
    assert (drawn[66:130, :64] == 255).all()


def test_patches_stand_in_a_square_with_grey_for_zero() -> None:
    patches = np.array([0.0, 1.0, -7.0, 2.0, 0.0]).reshape(5, 1, 1, 1)
    drawn = draw_picture(Picture(patches))

    assert drawn.shape == (2 * 66, 3 * 66, 3)
    assert [int(drawn[0, 66 * column, 0]) for column in range(3)] == [128, 255, 0]


def test_a_matrix_is_blue_white_and_red() -> None:
    drawn = draw_matrix(np.array([[-1.0, 0.0], [1.0, 0.5]]))
    corners = drawn[0, 0], drawn[0, -1], drawn[-1, 0]

    assert drawn.shape == (384, 384, 3)
    assert [one.tolist() for one in corners] == [[33, 102, 172], [255] * 3, [178, 24, 43]]
