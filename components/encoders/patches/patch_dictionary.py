"""Patch dictionary: one layer of whitened patches against atoms (Coates and Ng, 2011)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import batch_normalizations
from twofold.components.encoders.patches.patch_dictionary_settings import smallest_image
from twofold.components.encoders.settings import check_image_size

# The variance that 10 has beside pixels of 0 to 255, for pixels of 0 to 1.
_CONTRAST_FLOOR = 10.0 / 255.0**2
# Where a region has nothing of an atom, the slope of a square root would be infinite.
_ROOT_FLOOR = 1e-4


def build_patch_dictionary(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    patch: int,
    stride: int,
    atoms: int,
    threshold: float,
    grid: int,
    mirrored: bool,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds a network that says which patches of a dictionary an image has, and where.

    Every ``stride`` pixels a patch is normalised and whitened (``WhitenedPatches``), and compared
    with each atom of the dictionary: ``max(0, <atom, patch> - threshold)``, the encoding of Coates
    and Ng (2011), "The Importance of Encoding Versus Training with Sparse Coding and Vector
    Quantization", section 2. The mean of each atom over each of ``grid`` x ``grid`` regions of the
    image, its square root (Perronnin et al., 2010, "Improving the Fisher Kernel for Large-Scale
    Image Classification", section 3.2) and a batch normalisation without scale or offset follow.

    The method ``k_means`` learns the whitening and the dictionary. Until then the whitening takes
    a patch's mean away and nothing else, and atoms are random directions.

    Args:
        image_shape: (H, W, C) of the images, float32 in [0, 1].
        seed: seed of the initial weights.
        patch: side of a patch in pixels.
        stride: pixels from one patch to the next.
        atoms: K, how many the dictionary has.
        threshold: what a patch must exceed, where a whitened pixel has a variance of about 1.
        grid: regions along each side.
        mirrored: whether the means are those of an image and of its mirror image, so that both have
            the same features; twice the work.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, grid * grid * K].

    Raises:
        SettingsError: if the image has fewer patches along a side than there are regions.

    """
    check_image_size(
        f"patch_dictionary with patches of {patch} pixels in a grid of {grid}x{grid}",
        smallest_image(patch, stride, grid),
        *image_shape[:2],
    )
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = keras.Input(image_shape, name="images")
    start = initial.arguments(patch * patch * image_shape[2])["kernel_initializer"]
    layers = (
        WhitenedPatches(patch, stride, name="whitening"),
        Dictionary(atoms, threshold, start, name="dictionary"),
        GridMean(grid, name="pool"),
    )
    x = _through(layers, images)
    if mirrored:
        x = (x + _through(layers, keras.ops.flip(images, axis=2))) / 2.0
    x = norm("features_norm", affine=False)(keras.ops.sqrt(x + _ROOT_FLOOR))
    return keras.Model(images, x, name="patch_dictionary")


def _through(layers: Iterable[keras.layers.Layer], x: tf.Tensor) -> tf.Tensor:
    for layer in layers:
        x = layer(x)
    return x


class WhitenedPatches(keras.layers.Layer):
    """Normalises each patch of images and whitens it, [B, H, W, C] to [B, h, w, D].

    Of a patch's D = side * side * C pixels p, ``q = (p - mean(p)) / sqrt(var(p) + 10 / 255^2)``,
    the normalisation of Coates, Ng and Lee (2011), "An Analysis of Single-Layer Networks in
    Unsupervised Feature Learning", section 3.1, and ``transform^T (q - mean)``. It is computed in
    the variables' own precision, since whitening magnifies what is small.

    Attributes:
        mean: [D] of normalised patches.
        transform: [D, D], whose columns each sum to 0, so that a patch's own mean never counts.

    """

    def __init__(self, side: int, stride: int, name: str) -> None:
        super().__init__(
            name=name, trainable=False, dtype=keras.config.dtype_policy().variable_dtype
        )
        self.side, self.stride = side, stride

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the mean and the transform, which at first takes away a patch's mean alone."""
        width = self.side**2 * int(input_shape[-1] or 0)
        self.mean = self.add_weight(shape=(width,), initializer="zeros", name="mean")
        self.transform = self.add_weight(
            shape=(width, width),
            initializer=lambda shape, dtype: tf.cast(centring(width), dtype),
            name="transform",
        )

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Whitens every patch, by one convolution."""
        kernel = tf.reshape(self.transform, [self.side, self.side, images.shape[-1], -1])
        projected = tf.nn.conv2d(images, kernel, self.stride, "VALID")
        mean, square = (
            tf.nn.avg_pool2d(
                tf.reduce_mean(values, axis=3, keepdims=True), self.side, self.stride, "VALID"
            )
            for values in (images, tf.square(images))
        )
        variance = tf.maximum(square - tf.square(mean), 0.0)
        return projected * tf.math.rsqrt(variance + _CONTRAST_FLOOR) - self._offset()

    def normalise(self, patches: tf.Tensor) -> tf.Tensor:
        """Normalises patches [N, side, side, C] to q [N, D]."""
        flat = tf.reshape(tf.cast(patches, self.variable_dtype), [-1, self.mean.shape[0]])
        mean, variance = tf.nn.moments(flat, axes=[1], keepdims=True)
        return (flat - mean) * tf.math.rsqrt(variance + _CONTRAST_FLOOR)

    def whiten(self, normalised: tf.Tensor) -> tf.Tensor:
        """Whitens normalised patches q [N, D]."""
        return tf.matmul(normalised, self.transform) - self._offset()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the patches."""
        batch, height, width, channels = input_shape
        sides = [((length or 0) - self.side) // self.stride + 1 for length in (height, width)]
        return (batch, *sides, self.side**2 * (channels or 0))

    def _offset(self) -> tf.Tensor:
        return tf.linalg.matvec(self.transform, self.mean, transpose_a=True)


class Dictionary(keras.layers.Layer):
    """Compares patches with atoms of length 1: ``max(0, <atom, patch> - threshold)``.

    From [B, h, w, D] to [B, h, w, K].

    Attributes:
        kernel: atoms [D, K], of any length: each is divided by its own.

    """

    def __init__(
        self, atoms: int, threshold: float, initializer: keras.Initializer, name: str
    ) -> None:
        super().__init__(name=name)
        self.atoms, self.threshold, self.initializer = atoms, threshold, initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the atoms."""
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.atoms),
            initializer=self.initializer,
            name="kernel",
            # Lengths need more digits than bfloat16 has.
            autocast=False,
        )

    def call(self, patches: tf.Tensor) -> tf.Tensor:
        """Compares them, in a form whose three operations TensorFlow fuses, for half the time."""
        kernel = tf.cast(self.directions(), self.compute_dtype)[None, None]
        bias = tf.fill([self.atoms], tf.cast(-self.threshold, self.compute_dtype))
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(patches, kernel, 1, "VALID"), bias))

    def directions(self) -> tf.Tensor:
        """Returns the atoms [D, K], each of length 1, in the variable's own precision."""
        return tf.math.l2_normalize(tf.convert_to_tensor(self.kernel), axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of what it gives."""
        return (*input_shape[:-1], self.atoms)


class GridMean(keras.layers.Layer):
    """Takes the mean over each of side x side regions, [B, h, w, K] to [B, side * side * K].

    Regions are as even as whole positions allow, row by row from the upper left.
    """

    def __init__(self, side: int, name: str) -> None:
        super().__init__(name=name)
        self.side = side

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Takes it."""
        rows, columns = (
            [round(index * length / self.side) for index in range(self.side + 1)]
            for length in values.shape[1:3]
        )
        means = [
            tf.reduce_mean(values[:, top:bottom, left:right], axis=[1, 2])
            for top, bottom in itertools.pairwise(rows)
            for left, right in itertools.pairwise(columns)
        ]
        return tf.concat(means, axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the means."""
        return (input_shape[0], self.side**2 * (input_shape[-1] or 0))


def centring(width: int) -> np.ndarray:
    """Gives the matrix that takes the mean of ``width`` numbers away, float64 [width, width]."""
    return np.eye(width) - 1.0 / width
