"""File kinds by content: which bytes begin an image that can be read, which a picture that cannot.

Signatures are those of the formats' own descriptions; of ISO media files (AVIF, HEIC) the brands of
the `ftyp` box tell (ISO/IEC 14496-12, 4.3).
"""

from __future__ import annotations

import struct

# How many bytes of a file have to be looked at.
HEAD_BYTES = 64

READABLE = ("JPEG", "PNG", "WebP", "AVIF", "HEIC", "TIFF", "BMP", "GIF")
# Names of files that are taken for images unseen; what they hold is told when they are decoded.
IMAGE_EXTENSIONS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".avif"),
        *(".avifs", ".heic", ".heif", ".hif", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
    )
)
# Cameras' raw files are TIFFs of which nothing but a thumbnail is a picture.
RAW_EXTENSIONS = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
        *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
        *(".srf", ".srw", ".x3f"),
    )
)
CAMERA_RAW = "camera raw"
_PICTURES = {
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"DDS ": "DDS",
    b"qoif": "QOI",
    b"\0\0\1\0": "icon",
    b"FUJIFILMCCD-RAW": CAMERA_RAW,
    b"<svg": "SVG",
}
# What is no image to be read, and yet a picture.
PICTURES = frozenset((*_PICTURES.values(), CAMERA_RAW))
_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    **_PICTURES,
}
# A larger file has to begin as an image does before the rest of it is read, and none may be larger
# than 64 million pixels of eight bytes are, twice over.
_LARGE, _MOST = 64 << 20, 1 << 30
# The sizes that the header behind a BMP's first 14 bytes may have.
_BMP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"))


def is_large(size: int) -> bool:
    """Whether a file of so many bytes is read only if `why_too_large` says nothing against it."""
    return size > _LARGE


def why_too_large(size: int, head: bytes) -> str | None:
    """Why a large file is not read into memory; None where it is.

    Args:
        size: its bytes.
        head: the first `HEAD_BYTES` of them.

    """
    if size > _MOST:
        return f"it has {size:,} bytes; expected at most {_MOST:,}"
    if is_large(size) and kind_of(head) not in READABLE:
        return f"it has {size:,} bytes that begin no image; expected {', '.join(READABLE)}"
    return None


def kind_of(head: bytes) -> str | None:
    """The kind of picture that a file's first `HEAD_BYTES` begin; None for anything else."""
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and len(head) >= 18:
        return "BMP" if struct.unpack_from("<L", head, 14)[0] in _BMP_HEADERS else None
    if head[4:8] == b"ftyp":
        return _brand(head)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return "SVG" if text.startswith(b"<svg") else None


def _brand(head: bytes) -> str | None:
    length = min(int.from_bytes(head[:4]), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length, 4))}
    if brands & _AVIF:
        return "AVIF"
    if brands & _HEIC or head[8:12] in (b"mif1", b"msf1"):
        return "HEIC"
    return CAMERA_RAW if head[8:12] == b"crx " else None
