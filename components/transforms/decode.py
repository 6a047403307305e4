"""Image decoding: from a file's bytes to the encoder's pixels, the same in training and serving."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class DecodeRule:
    """How a file becomes pixels.

    Attributes:
        height: rows of the result.
        width: columns of the result.
        channels: 1 (grey) or 3 (RGB); other files are converted, alpha is dropped.
        max_pixels: images with more pixels are refused before they are decoded.

    """

    height: int
    width: int
    channels: int
    max_pixels: int = 64_000_000

    @property
    def fingerprint(self) -> str:
        """Names the rule: equal strings decode equal bytes to equal pixels."""
        return f"v1-{self.height}x{self.width}x{self.channels}"


def decode_image(contents: tf.Tensor, rule: DecodeRule) -> tf.Tensor:
    """Decodes one JPEG or PNG file and brings it to the rule's size.

    An image of another size is cut to the rule's aspect ratio around its centre and resized
    bilinearly with antialiasing; an image of the right size is left as it is. JPEG is decoded with
    the accurate integer DCT, which agrees with Pillow. Of 16-bit samples the high byte counts. An
    EXIF orientation is not applied: who sends such files turns them first, as preparation does.

    Args:
        contents: string scalar, the bytes of the file.
        rule: target size, channels and limit.

    Returns:
        uint8 [height, width, channels].

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are neither JPEG nor PNG, are damaged, or hold
            too many pixels. What preparation converts (WebP, AVIF, HEIC, TIFF, BMP, GIF) has to be
            converted by who sends it, to PNG.

    """
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, 3), _JPEG_MAGIC)
    is_png = tf.equal(tf.strings.substr(contents, 0, 8), _PNG_MAGIC)
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                is_jpeg | is_png,
                [
                    "expected a JPEG or PNG file, received one that begins with",
                    _readable(tf.strings.substr(contents, 0, 12)),
                ],
            )
        ]
    ):
        size = tf.cond(
            is_jpeg, lambda: tf.io.extract_jpeg_shape(contents)[:2], lambda: _png_size(contents)
        )
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                # Sides above 2**31 read as negative, and two of them make a positive product.
                tf.reduce_all(size > 0) & (pixels <= rule.max_pixels),
                [f"expected an image of 1 to {rule.max_pixels} pixels, received", size],
            )
        ]
    ):
        image = decode_pixels(contents, rule)
    return fit_pixels(image, rule)


def decode_pixels(contents: tf.Tensor, rule: DecodeRule) -> tf.Tensor:
    """Decodes one file that is known to be a sound JPEG or PNG, at its own size.

    Args:
        contents: string scalar, the bytes of the file.
        rule: of which only the channels count here.

    Returns:
        uint8 [h, w, channels].

    """
    # DecodeJpeg decodes PNG as well, and only it takes dct_method.
    return tf.io.decode_jpeg(contents, channels=rule.channels, dct_method="INTEGER_ACCURATE")


def fit_pixels(image: tf.Tensor, rule: DecodeRule) -> tf.Tensor:
    """Brings decoded pixels to the rule's size as ``decode_image`` does.

    Args:
        image: uint8 [h, w, channels].
        rule: target size.

    Returns:
        uint8 [height, width, channels].

    """
    right_size = tf.reduce_all(tf.equal(tf.shape(image)[:2], [rule.height, rule.width]))
    image = tf.cond(right_size, lambda: image, lambda: _crop_and_resize(image, rule))
    return tf.ensure_shape(image, [rule.height, rule.width, rule.channels])


def decode_images(contents: tf.Tensor, rule: DecodeRule) -> tf.Tensor:
    """Decodes files, string [B], to uint8 [B, height, width, channels]; see ``decode_image``."""
    return tf.map_fn(
        lambda one: decode_image(one, rule),
        contents,
        fn_output_signature=tf.TensorSpec([rule.height, rule.width, rule.channels], tf.uint8),
    )


def _readable(contents: tf.Tensor) -> tf.Tensor:
    """Bytes as text, with a point for each that is no letter; messages must be UTF-8."""
    return tf.strings.unicode_transcode(
        contents,
        "US-ASCII",
        "UTF-8",
        replacement_char=ord("."),
        replace_control_characters=True,
    )


def _png_size(contents: tf.Tensor) -> tf.Tensor:
    """Reads int32 [height, width] from the IHDR chunk, which the format puts first."""
    length = tf.strings.length(contents)
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                length >= 24, ["expected a whole PNG header of 24 bytes, received", length]
            )
        ]
    ):
        kind = tf.strings.substr(contents, 12, 4)
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                tf.equal(kind, b"IHDR"), ["expected a PNG that starts with IHDR, received another"]
            )
        ]
    ):
        header = tf.strings.substr(contents, 16, 8)
    return tf.reshape(tf.io.decode_raw(header, tf.int32, little_endian=False), [2])[::-1]


def _crop_and_resize(image: tf.Tensor, rule: DecodeRule) -> tf.Tensor:
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    crop_height = tf.minimum(height, tf.maximum(1, width * rule.height // rule.width))
    crop_width = tf.minimum(width, tf.maximum(1, height * rule.width // rule.height))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    image = image[top : top + crop_height, left : left + crop_width]
    resized = tf.image.resize(image, [rule.height, rule.width], antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
