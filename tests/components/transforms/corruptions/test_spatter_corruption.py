import math

import numpy as np
import pytest
from scipy import ndimage

from tests.components.transforms.corruptions.spoilt import applied, drawn, pictures
from twofold.components.transforms.corruptions.common_corruptions import SEVERITIES
from twofold.components.transforms.corruptions.spatter_corruption import (
    distance_to_edges,
    equalise,
    find_edges,
    shade,
)


def liquids(count=3, height=20, width=26, seed=0):
    noise = np.random.default_rng(seed).normal(0.65, 0.3, (count, height, width))
    layer = np.clip(ndimage.gaussian_filter(noise, (0, 1, 1)), 0, 1)
    return (np.where(layer < 0.69, 0, layer) * 255).astype(np.uint8)


def clamped(index, side):
    return min(max(index, 0), side - 1)


def edges_in_plain_loops(image, low, high):
    height, width = image.shape

    def at(row, column):
        return int(image[clamped(row, height), clamped(column, width)])

    right, down = np.zeros((2, height, width), int)
    for row, column in np.ndindex(height, width):
        for weight, step in ((1, -1), (2, 0), (1, 1)):
            right[row, column] += weight * (at(row + step, column + 1) - at(row + step, column - 1))
            down[row, column] += weight * (at(row + 1, column + step) - at(row - 1, column + step))
    size = np.abs(right) + np.abs(down)

    def size_at(row, column):
        return size[row, column] if 0 <= row < height and 0 <= column < width else 0

    candidates = set()
    for row, column in np.ndindex(height, width):
        across, along, here = abs(right[row, column]), abs(down[row, column]), size[row, column]
        if here <= low:
            continue
        angle = math.degrees(math.atan2(along, across))
        if angle < 22.5:
            largest = here > size_at(row, column - 1) and here >= size_at(row, column + 1)
        elif angle > 67.5:
            largest = here > size_at(row - 1, column) and here >= size_at(row + 1, column)
        else:
            step = 1 if right[row, column] * down[row, column] >= 0 else -1
            before, after = size_at(row - 1, column - step), size_at(row + 1, column + step)
            largest = here > before and here > after
        if largest:
            candidates.add((row, column))
    waiting = [place for place in candidates if size[place] > high]
    found = set(waiting)
    while waiting:
        row, column = waiting.pop()
        around = {(row + a, column + b) for a in (-1, 0, 1) for b in (-1, 0, 1)}
        new = (around & candidates) - found
        found |= new
        waiting += new
    edges = np.zeros((height, width), bool)
    for place in found:
        edges[place] = True
    return edges


@pytest.mark.parametrize("kind", ["liquid", "picture"])
def test_edges_are_those_of_plain_loops(kind):
    images = liquids() if kind == "liquid" else pictures(3, 20, 26, 1)[..., 0]

    result = find_edges(images, 50, 150)

    assert result.any()
    for ours, image in zip(result, images, strict=True):
        np.testing.assert_array_equal(ours, edges_in_plain_loops(image, 50, 150))


def test_an_edge_worked_by_hand():
    # A step from 0 to 20 has the gradient 4 * 20 on both sides of it; the first one counts.
    step = np.zeros((1, 6, 8), np.uint8)
    step[:, :, 4:] = 20

    columns = [np.flatnonzero(find_edges(step, 50, high)[0].any(axis=0)) for high in (79, 80)]

    assert [one.tolist() for one in columns] == [[3], []]


def test_a_weak_edge_counts_only_where_it_goes_on_from_a_strong_one_of_its_own_image():
    images = np.zeros((2, 8, 8), np.uint8)
    images[:, :, 4:] = 20
    images[0, 4:, 4:] = 60

    edges = find_edges(images, 50, 150)

    assert edges[0, :3, 3].all()
    assert not edges[1].any()


def test_distances_to_edges():
    edges = np.zeros((2, 3, 4), bool)
    edges[0, 0, 0] = True

    near, far = distance_to_edges(edges)

    expected = [[math.hypot(row, column) for column in range(4)] for row in range(3)]
    np.testing.assert_allclose(near, expected, rtol=1e-6)
    assert (far >= 7).all()


def test_equalising_worked_by_hand():
    # Of the 6 pixels above the lowest level, 2 are no higher than 7, 3 than 9, all than 200.
    images = np.array([[[5, 5, 7, 7], [9, 200, 200, 200]], [[3] * 4, [3] * 4]], np.uint8)

    np.testing.assert_array_equal(
        equalise(images), [[[0, 0, 85, 85], [128, 255, 255, 255]], [[3] * 4, [3] * 4]]
    )


def box_in_plain_loops(field):
    padded = np.pad(field, 1, mode="reflect")
    result = np.zeros(field.shape)
    for row, column in np.ndindex(field.shape):
        result[row, column] = padded[row : row + 3, column : column + 3].mean()
    return result


def test_shading_is_the_chain_of_the_original():
    images = liquids()
    result = shade(images)

    for image, ours in zip(images, result, strict=True):
        edges = edges_in_plain_loops(image, 50, 150)
        distance = np.minimum(ndimage.distance_transform_edt(~edges), 20)
        # The same up to float32, which decides in which level a whole number falls.
        heights = np.floor(box_in_plain_loops(distance.astype(np.float32)) + 1e-6).astype(np.uint8)
        heights = np.pad(equalise(heights[None])[0].astype(int), 1, mode="reflect")
        embossed = np.zeros(image.shape)
        for row, column in np.ndindex(image.shape):
            weights = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
            embossed[row, column] = (weights * heights[row : row + 3, column : column + 3]).sum()
        light = np.rint(box_in_plain_loops(np.clip(embossed, 0, 255))) * image
        expected = light / light.max()
        assert (np.abs(ours - expected) < 0.01).mean() > 0.97
    assert (result[images == 0] == 0).all()
    assert result.max(axis=(1, 2)).tolist() == [1, 1, 1]


def test_without_liquid_there_is_no_light():
    assert not shade(np.zeros((2, 8, 8), np.uint8)).any()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_spatter_is_liquid_where_smooth_noise_is_high(severity):
    images = pictures(2, 32, 32)
    (noise,), parameters = drawn(images, "spatter", severity)
    location, spread, sigma, threshold, strength, is_mud = parameters

    result = applied(images, "spatter", severity, (noise,))

    for image, its_noise, ours in zip(images / 255, noise, result, strict=True):
        liquid = ndimage.gaussian_filter(location + spread * its_noise, sigma, mode="nearest")
        if is_mud:
            cover = ndimage.gaussian_filter(
                (liquid > threshold).astype(float), strength, mode="nearest"
            )
            cover = np.where(cover < 0.8, 0, cover)[..., None]
            expected = image * (1 - cover) + np.array([63, 42, 20]) / 255 * cover
        else:
            drops = (np.where(liquid < threshold, 0, np.minimum(liquid, 1)) * 255).astype(np.uint8)
            light = shade(drops[None])[0, ..., None]
            expected = image + strength * light * np.array([175, 238, 238]) / 255
        np.testing.assert_allclose(ours, expected, atol=1e-5)
