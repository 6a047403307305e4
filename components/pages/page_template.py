"""Page templates (Jinja2) that all pages extend, and values as texts and addresses."""

from __future__ import annotations

import base64
import functools
import io

import jinja2
import numpy as np
from PIL import Image

from twofold.components.evaluation.metrics import byte_text

_TEXT = 160
# Images up to this many pixels are stored without loss.
_LOSSLESS_PIXELS = 48 * 48


@functools.cache
def page_environment() -> jinja2.Environment:
    """Gives the templates of all pages; what they show is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twofold.components.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "bytes": byte_text,
        "share": share_text,
        "percent": lambda share: f"{share:.2%}",
        "one_line": one_line,
        "short": short,
        "image": data_uri,
    }
    return environment


def data_uri(pixels: np.ndarray) -> str:
    """An image, uint8 [h, w, 1 or 3], as an address that holds it."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    encodings: list[tuple[str, dict[str, int]]] = [("png", {})]
    if pixels.shape[0] * pixels.shape[1] > _LOSSLESS_PIXELS:
        encodings.append(("jpeg", {"quality": 82, "optimize": 1}))
    encoded = {}
    for kind, options in encodings:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        encoded[kind] = file.getvalue()
    kind = min(encoded, key=lambda name: len(encoded[name]))
    return f"data:image/{kind};base64,{base64.b64encode(encoded[kind]).decode()}"


def png_uri(png: bytes) -> str:
    """A PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def plain(value: float) -> str:
    """A number in three digits."""
    return f"{value:.3g}"


def share_text(part: float, whole: float) -> str:
    """A part of a whole in per cent."""
    share = 100 * part / whole if whole else 0.0
    return (
        f"{share:.0f} %"
        if share in (0, 100)
        else f"{share:.2g} %"
        if share < 99
        else f"{share:.4g} %"
    )


def short(text: str) -> str:
    """A text with its middle left out where it is long."""
    text = visible(text)
    return text if len(text) <= _TEXT else f"{text[: _TEXT // 2]} ... {text[-_TEXT // 2 :]}"


def one_line(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


def visible(text: str) -> str:
    """A text with what cannot be seen, or would turn the line around, written out."""
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )
