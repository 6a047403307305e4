"""Image validation and normalisation: what counts as an image, and how one is stored.

| an image | is |
| --- | --- |
| JPEG (Huffman or arithmetic coding), PNG of any depth | accepted |
| MPO, a phone's JPEG with further pictures behind it | accepted as its first picture |
| an array, uint8 [H, W, 1 or 3] | accepted; of any other type or shape: "unsupported array" |
| WebP, AVIF, TIFF, BMP, GIF | repaired: pixels kept; or "wrong format" (`other_formats="reject"`) |
| HEIC | likewise where pillow-heif is installed, as its primary picture; else "wrong format" |
| any other format, text, ... | "wrong format", with the format's name in brackets if it is known |
| no bytes | "empty file" |
| cut short, or with checksums or a structure that do not hold | "damaged" |
| of several frames or pages: APNG, GIF, TIFF, WebP, AVIF | "animated"; or by `animated` the first |
| smaller than `min_side` in height or width | "too small" |
| larger than `max_pixels`, or than 65,500 in height or width | "too large", before it is decoded |
| of a single colour | "one colour", or with `one_colour="keep"` accepted |
| grey: 1, 2, 4 or 8 bits, with or without alpha (Pillow's modes 1, L, LA) | 1 channel |
| grey of 16 bits (I;16) | 1 channel; repaired: the high byte of each sample counts |
| colour of 8 or 16 bits, or palette, with or without alpha (RGB, RGBA, P) | 3 channels |
| grey of 16 bits with alpha, which Pillow opens as RGBA | 3 channels |
| CMYK, also as Adobe's YCCK | 3 channels; repaired: red is (255 - C)(255 - K) / 255, and so on |
| lossless JPEG, which TensorFlow does not decode | repaired: pixels kept |
| grey TIFF of floats from 0 to 1, to 255 or to 65535 | 1 channel; repaired: linear, white is 255 |
| of other floats, or any other mode (Lab, 32-bit integers) | "unsupported mode" |
| turned by its EXIF orientation, 2 to 8 | repaired: stored upright |
| EXIF data that cannot be read | as if there were none |

The content tells the format, whatever the file is called. What is quoted is the reason of a
rejection. Alpha is dropped, and colour profiles and gamma are not
applied, as in TensorFlow's decoders. An accepted file is stored as it came, byte for byte, where
TensorFlow decodes it to the same pixels as Pillow does, which the tests hold for every row that is
not called repaired. A repaired image and an array are stored as PNG. `ImageRules.stored_as` and
`stored_size` change what is stored of every image.

Flipped bits that leave a valid stream of another picture, and faults under valid checksums, cannot
be seen here: keep checksums of sources.
"""

from __future__ import annotations

import functools
import io
import re
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from twofold.components.data.rules.file_kinds import HEAD_BYTES, READABLE, kind_of
from twofold.components.data.rules.pixel_modes import (
    COLOUR,
    FLOAT,
    GREY,
    GREY_16,
    pixels_of,
    pixels_of_floats,
)
from twofold.components.errors import DataError

# Pillow's names.
FORMATS = ("JPEG", "PNG")
OTHER_FORMATS = ("GIF", "BMP", "TIFF", "WEBP", "AVIF")
_HEIF = "HEIF"

# Pillow warns of more pixels than its own limit, and JPEG can hold no longer side.
_MOST_PIXELS = 89_478_485
_LONGEST_SIDE = 65_500

_CHOICES = {
    "one_colour": ("reject", "keep"),
    "other_formats": ("reject", "convert"),
    "animated": ("reject", "first_frame"),
    "stored_as": ("source", "jpeg", "png", "raw"),
}
# Where Pillow may find an orientation; asking it where there is none takes as long as decoding.
_EXIF_FIELDS = frozenset(("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"))
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A JPEG marker is neither a stuffed byte nor a restart within a scan (ITU-T T.81, B.1.1).
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_LOSSLESS_FRAME, _PROGRESSIVE_FRAMES = 0xC3, frozenset((0xC2, 0xCA))
# A bit for each of a block's 64 frequencies; the smoothing of progressive scans looks at ten.
_LOW_FREQUENCIES = (1 << 10) - 1
# The order of PNG's chunks by type; those that start in lower case may be ignored.
_PNG_CHUNKS = re.compile(rb"IHDR(?:[a-z]...)*(PLTE(?:[a-z]...)*)?(?:IDAT)+(?:[a-z]...)*IEND", re.S)


class RejectedError(Exception):
    """Why an image cannot be used: a short reason to count by, and the particulars."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class ImageRules:
    """Which images are accepted and how they are stored.

    Attributes:
        min_side: an image of smaller height or width is rejected.
        max_pixels: an image of more pixels is rejected before it is decoded.
        one_colour: "reject" or "keep" images whose pixels are all the same.
        other_formats: "convert" files that are neither JPEG nor PNG to PNG, or "reject" them.
        animated: "reject" files of several frames or pages, or take their "first_frame".
        stored_as: "source" keeps the file's bytes where it can. The others store every image anew,
            so that equal pixels are equal bytes: "jpeg" of `jpeg_quality` and with halved colour
            resolution, "png", or "raw", the pixels in C order.
        stored_size: images whose shorter side is larger are reduced to it in their aspect ratio,
            bilinearly with antialiasing; None reduces none.
        jpeg_quality: 1 to 100.

    Raises:
        DataError: a value is outside what is said here.

    """

    min_side: int = 4
    max_pixels: int = 64_000_000
    one_colour: str = "reject"
    other_formats: str = "convert"
    animated: str = "reject"
    stored_as: str = "source"
    stored_size: int | None = None
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                expected = " or ".join(map(repr, known))
                raise DataError(f"{name}: expected {expected}, received {getattr(self, name)!r}")
        ranges = {
            "min_side": (1, _LONGEST_SIDE),
            "max_pixels": (1, _MOST_PIXELS),
            "jpeg_quality": (1, 100),
        }
        if self.stored_size is not None:
            ranges["stored_size"] = (self.min_side, _LONGEST_SIDE)
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise DataError(
                    f"{name}: expected a whole number from {least} to {most}, received {value!r}"
                )


DEFAULT_RULES = ImageRules()


@dataclass(frozen=True)
class Checked:
    """A usable image.

    Attributes:
        pixels: uint8 [H, W, 1 or 3], exactly what decoding the payload gives.
        payload: what is stored.
        format: Pillow's name of the source's format, such as "JPEG", "MPO" or "PNG", or "array".
        mode: Pillow's mode of the source as it was opened, or "array".
        repair: what was done to the source's pixels, joined by ", "; "" if nothing was.
    """

    pixels: np.ndarray
    payload: bytes
    format: str
    mode: str
    repair: str


def check(image: bytes | np.ndarray, rules: ImageRules = DEFAULT_RULES) -> Checked:
    """Decodes an image to the end and gives what is to be stored of it.

    Args:
        image: the bytes of an image file, or an array of pixels.
        rules: what is accepted, and in which form it is stored.

    Raises:
        RejectedError: it is not an image as the module's docstring describes; nothing else is
            raised, whatever the bytes.

    """
    repairs: list[str] = []
    if isinstance(image, np.ndarray):
        source_format = mode = "array"
        pixels = _accept_array(image, rules)
    elif image:
        pixels, source_format, mode, repairs = _decode(image, rules)
    else:
        raise RejectedError("empty file", "0 bytes")
    if rules.one_colour == "reject" and _is_one_colour(pixels):
        colour = pixels[0, 0].tolist()
        raise RejectedError("one colour", f"each of {_size(*pixels.shape[1::-1])} pixels: {colour}")
    if rules.stored_size is not None and min(pixels.shape[:2]) > rules.stored_size:
        pixels = _reduce(pixels, rules.stored_size)
        repairs.append("reduced")
    if rules.stored_as == "source" and isinstance(image, bytes) and not repairs:
        payload = image
    elif rules.stored_as == "raw":
        payload = pixels.tobytes()
    elif rules.stored_as == "jpeg":
        payload = _encode(pixels, "JPEG", quality=rules.jpeg_quality)
        with Image.open(io.BytesIO(payload), formats=("JPEG",)) as picture:
            pixels = pixels_of(picture)
    else:
        payload = _encode(pixels, "PNG")
    return Checked(pixels, payload, source_format, mode, ", ".join(repairs))


def _accept_array(pixels: np.ndarray, rules: ImageRules) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise RejectedError(
            "unsupported array",
            f"{pixels.dtype} of shape {pixels.shape}; expected uint8 [H, W, 1 or 3]",
        )
    _accept_size(pixels.shape[1], pixels.shape[0], rules)
    return pixels


def _decode(content: bytes, rules: ImageRules) -> tuple[np.ndarray, str, str, list[str]]:
    """Pixels uint8 [H, W, 1 or 3], the source's format and mode, and what was done to it."""
    kind = kind_of(content[:HEAD_BYTES])
    formats = [*FORMATS, *OTHER_FORMATS]
    if kind == "HEIC" and heif_opener():
        formats.append(_HEIF)
    try:
        with Image.open(io.BytesIO(content), formats=formats) as picture:
            mode = picture.mode
            repairs = _accept_header(picture, rules)
            if picture.format == "PNG":
                _check_png(content, mode)
            elif picture.format in ("JPEG", "MPO"):
                repairs += _check_jpeg(content)
            picture.load()
            upright = _turn(picture)
            if upright is not picture:
                repairs.append("turned upright")
            pixels = _of_floats(upright, repairs) if mode == FLOAT else pixels_of(upright)
            return pixels, str(picture.format), mode, repairs
    except RejectedError:
        raise
    except Image.DecompressionBombError as error:
        raise RejectedError("too large", str(error)) from None
    except UnidentifiedImageError:
        raise _unidentified(content, kind, rules) from None
    # Pillow's decoders report damage by exceptions of any type.
    except Exception as error:
        raise RejectedError("damaged", f"{type(error).__name__}: {error}") from None


def _accept_header(picture: Image.Image, rules: ImageRules) -> list[str]:
    """Rejects by what is known before the pixels are decoded; gives what will be done to these."""
    repairs: list[str] = []
    if picture.format in (*OTHER_FORMATS, _HEIF):
        if rules.other_formats == "reject":
            expected = f"expected {_expected(rules)}, or data.other_formats=convert"
            raise RejectedError(f"wrong format ({picture.format})", expected)
        repairs.append(f"converted from {picture.format}")
    _accept_size(picture.width, picture.height, rules)
    if picture.format not in ("MPO", _HEIF) and getattr(picture, "is_animated", False):
        if rules.animated == "reject":
            frames = getattr(picture, "n_frames", "several")
            expected = "expected one, or data.animated=first_frame"
            raise RejectedError("animated", f"{picture.format} of {frames} frames; {expected}")
        repairs.append("first of several frames")
    if picture.mode == "CMYK":
        repairs.append("CMYK to RGB")
    elif picture.mode in GREY_16:
        repairs.append("16 bit to 8")
    elif picture.mode not in (*GREY, *COLOUR, FLOAT):
        raise RejectedError("unsupported mode", f"{picture.format} of mode {picture.mode}")
    return repairs


def _unidentified(content: bytes, kind: str | None, rules: ImageRules) -> RejectedError:
    """Why no decoder takes a file."""
    if kind == "HEIC" and not heif_opener():
        return RejectedError(
            "wrong format (HEIC)",
            "HEIC is read by pillow-heif: pip install 'twofold[heic]', or convert it to PNG",
        )
    detail = f"starts with {content[:8]!r}; expected {_expected(rules)}"
    if kind in READABLE:
        return RejectedError("damaged", detail)
    return RejectedError(f"wrong format ({kind})" if kind else "wrong format", detail)


@functools.cache
def heif_opener() -> bool:
    """Whether Pillow opens HEIC files, by way of pillow-heif."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _accept_size(width: int, height: int, rules: ImageRules) -> None:
    if width * height > rules.max_pixels or max(width, height) > _LONGEST_SIDE:
        limits = f"{rules.max_pixels} pixels and sides of {_LONGEST_SIDE}"
        raise RejectedError("too large", f"{_size(width, height)}; expected at most {limits}")
    if min(width, height) < rules.min_side:
        expected = f"expected sides of at least {rules.min_side}"
        raise RejectedError("too small", f"{_size(width, height)}; {expected}")


def _check_png(content: bytes, mode: str) -> None:
    """Holds a PNG to what TensorFlow's decoder insists on, and Pillow's does not."""
    view, types, start = memoryview(content), [b""], 8
    while types[-1] != b"IEND":
        end = start + 12 + int.from_bytes(view[start : start + 4])
        if end > len(content):
            raise RejectedError("damaged", "the PNG ends before its IEND chunk")
        types.append(content[start + 4 : start + 8])
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise RejectedError("damaged", f"the checksum of a PNG chunk {types[-1]!r} is wrong")
        start = end
    order = _PNG_CHUNKS.fullmatch(b"".join(types))
    if order is None or (mode == "P" and order[1] is None):
        raise RejectedError("damaged", "the PNG's chunks are out of order or incomplete")


def _check_jpeg(content: bytes) -> list[str]:
    """Holds a JPEG to what TensorFlow's decoder insists on, and gives what it does not decode."""
    start = 2
    starts: dict[int, list[int]] = {}
    while _END_OF_IMAGE not in starts:
        found = _JPEG_MARKER.search(content, start)
        if found is None:
            raise RejectedError("damaged", "the JPEG has no end-of-image marker")
        starts.setdefault(found[1][0], []).append(found.end())
        start = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    if _START_OF_SCAN not in starts:
        raise RejectedError("damaged", "the JPEG ends before its first scan")
    for frame in starts.keys() & _PROGRESSIVE_FRAMES:
        _check_scans(content, starts[frame][0], starts[_START_OF_SCAN])
    return ["converted from lossless JPEG"] if _LOSSLESS_FRAME in starts else []


def _check_scans(content: bytes, frame: int, scans: list[int]) -> None:
    """Rejects a progressive JPEG some of whose scans are missing.

    Where low frequencies are missing, decoders smooth the blocks, each in its own way. `frame` and
    `scans` are where the headers of frame and scans start (T.81, B.2.2 and B.2.3).
    """
    full = dict.fromkeys(content[frame + 8 : frame + 8 + 3 * content[frame + 7] : 3], 0)
    for scan in scans:
        end = scan + 3 + 2 * content[scan + 2]
        first, last, precision = content[end : end + 3]
        # The low half of the last byte counts the bits that are still to come.
        if precision & 15 == 0:
            for component in content[scan + 3 : end : 2]:
                full[component] |= (2 << last) - (1 << first)
    if any(~frequencies & _LOW_FREQUENCIES for frequencies in full.values()):
        raise RejectedError("damaged", "the progressive JPEG lacks some of its scans")


def _turn(picture: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation says that it is seen."""
    if _EXIF_FIELDS.isdisjoint(picture.info):
        return picture
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    # Pillow's reader of EXIF data, too, reports damage by exceptions of any type.
    except Exception:
        return picture
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _of_floats(picture: Image.Image, repairs: list[str]) -> np.ndarray:
    try:
        pixels, white = pixels_of_floats(picture)
    except ValueError as error:
        raise RejectedError("unsupported mode", str(error)) from None
    repairs.append(f"floats of 0 to {white:g} to 8 bit")
    return pixels


def _is_one_colour(pixels: np.ndarray) -> bool:
    height, width, _ = pixels.shape
    first = pixels[0, 0].tobytes()
    # Comparing two pixels decides it for nearly every image.
    for row, column in ((height // 2, width // 2), (-1, -1)):
        if pixels[row, column].tobytes() != first:
            return False
    return bool((pixels == pixels[0, 0]).all())


def _reduce(pixels: np.ndarray, shorter: int) -> np.ndarray:
    """Reduced so that the shorter side is `shorter` and the other is rounded, halves up."""
    height, width, _ = pixels.shape
    least = min(height, width)
    size = [(2 * side * shorter + least) // (2 * least) for side in (width, height)]
    return pixels_of(_picture(pixels).resize((size[0], size[1]), Image.Resampling.BILINEAR))


def _encode(pixels: np.ndarray, file_format: str, **options: int) -> bytes:
    """A file that depends on the pixels alone."""
    encoded = io.BytesIO()
    _picture(pixels).save(encoded, file_format, **options)
    return encoded.getvalue()


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _size(width: int, height: int) -> str:
    return f"{height} x {width}"


def _expected(rules: ImageRules) -> str:
    convert = rules.other_formats == "convert"
    return ", ".join(READABLE) if convert else "JPEG or PNG"
