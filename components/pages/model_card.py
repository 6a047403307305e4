"""Model card (Mitchell et al., 2019, "Model Cards for Model Reporting"), for people.

It says what the lineage says and nothing else: what was not measured is said not to be.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    interval_text,
    is_shown,
    members,
    names_at,
    value_text,
)
from twofold.components.export.saved_model.lineage import NOT_STATED, Lineage
from twofold.components.export.saved_model.signature_contract import Contract, read_contract
from twofold.components.export.saved_model.version_directory import EXTRA
from twofold.components.name_lists import list_names
from twofold.components.pages.page_template import one_line, page_environment, visible

MARKDOWN_FILE = "model_card.md"
HTML_FILE = "model_card.html"
NOT_MEASURED = "not measured"

_NAMES = 20
# An underscore within a word is no markup.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~#]|(?<![^\W_])_|_(?![^\W_])")
_TRAINING = {
    "epochs": "training.epochs",
    "batch size": "training.batch_size",
    "optimizer": "training.optimizer",
    "learning rate": "training.learning_rate",
    "precision": "training.precision",
    "share of the labels used": "data.label_share",
    "seed": "seed",
}
_LIMITS = (
    "The graph does not turn images by their EXIF orientation: who sends photographs turns them "
    "first, as the preparation of the training images does.",
    "It reads whole JPEG and PNG files. Another aspect ratio is cut around the centre before the "
    "image is brought to the encoder's size, so that what is at the edge may be lost.",
    "An image unlike those it was trained on is answered all the same: nothing in the answer says "
    "that it is unlike them.",
    "An interval covers the choice of held-out images alone, not another seed or other training "
    "images.",
    "The file of the model is a program. Load it from sources that you trust.",
)


@dataclass(frozen=True)
class Block:
    """A part of a section: a paragraph, points, a table or code, whichever there is.

    What stands between backticks in a paragraph is code; nothing that was measured, read or named
    by someone stands in one. Long code is folded away on the page, behind the words of `folded`.
    """

    paragraph: str = ""
    points: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    code: str = ""
    language: str = ""
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a card."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """What the section's link on the page leads to."""
        return self.title.lower().replace(" ", "-")


def write_model_card(version: Path, lineage: Lineage) -> tuple[Path, Path]:
    """Writes ``assets.extra/model_card.md`` and ``.html`` beside a model.

    Args:
        version: holds the SavedModel, which tells how it is called.
        lineage: of that model.

    Returns:
        The paths of both.

    Raises:
        ExportedModelError: if the SavedModel cannot be read.

    """
    contract = read_contract(version)
    markdown, html = version / EXTRA / MARKDOWN_FILE, version / EXTRA / HTML_FILE
    markdown.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(markdown, render_markdown(lineage, contract))
    files.write_text(html, render_html(lineage, contract))
    return markdown, html


def render_html(lineage: Lineage, contract: Contract) -> str:
    """The card as one page that opens anywhere, offline, and fetches nothing."""
    template = page_environment().get_template("model_card.html")
    return template.render(title=_title(lineage), sections=card(lineage, contract))


def render_markdown(lineage: Lineage, contract: Contract) -> str:
    """The card in GitHub's Markdown; values are escaped, so that none of them is markup."""
    lines = [f"# {_escape(_title(lineage))}", ""]
    for section in card(lineage, contract):
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def card(lineage: Lineage, contract: Contract) -> list[Section]:
    """What a card says, section by section."""
    return [
        Section("Intended use", tuple(_use(lineage))),
        Section("Data", tuple(_data(lineage))),
        Section("Training", tuple(_training(lineage))),
        Section("Metrics", tuple(_metrics(lineage))),
        Section("Robustness", tuple(_robustness(lineage.metrics))),
        Section("Calibration", (Block(paragraph=_calibration(lineage.metrics)),)),
        Section("Limits", (Block(points=(_on_corrupted(lineage.metrics), *_LIMITS)),)),
        Section("How to call it", tuple(_calls(lineage, contract))),
        Section("Licences", tuple(_licences(lineage))),
        Section("Where it comes from", tuple(_origin(lineage))),
    ]


def _title(lineage: Lineage) -> str:
    return f"Model card: {lineage.configuration.get('name', 'encoder')}"


def _use(lineage: Lineage) -> Iterator[Block]:
    image = lineage.image
    colour = "grey" if image["channels"] == 1 else "RGB"
    yield Block(
        paragraph=f"An image encoder: it turns an image into a vector, for search, grouping, and "
        f"small classifiers on top. Images are brought to {image['height']} x {image['width']} "
        f"pixels, {colour}, within the model."
    )
    if lineage.class_names:
        yield Block(
            paragraph=f"It also tells {len(lineage.class_names):,} classes apart. Each image is "
            f"given to one of them, whether it shows one or not."
        )
        yield _table(("classes", list_names(lineage.class_names, _NAMES)))
    else:
        yield Block(paragraph="It tells no classes apart: there were no labels to learn them from.")
    yield Block(
        paragraph="It is made for images like those that it was trained on (see below). For "
        "decisions about people, and on images of another kind, it was not measured."
    )


def _data(lineage: Lineage) -> Iterator[Block]:
    data = lineage.data
    splits = ", ".join(f"{count:,} {name}" for name, count in sorted(data.images.items()))
    searched = "not searched for"
    yield _table(
        ("data set", data.name or "not recorded"),
        ("source", data.source or "not recorded"),
        ("images", splits or "not recorded"),
        (
            "classes",
            list_names([f"{k} ({n:,})" for k, n in data.labels.items()], _NAMES) or "none recorded",
        ),
        ("rejected images", f"{data.rejected:,}" if data.name else "not recorded"),
        ("images that another one resembles", _count(data.duplicates, searched)),
        ("training images that resemble a held-out one", _count(data.leaked, searched)),
        ("fingerprint", data.fingerprint),
        ("licence", data.licence),
    )


def _training(lineage: Lineage) -> Iterator[Block]:
    configuration = lineage.configuration
    rows = [("method", _setting(configuration, "method.name"))]
    rows.append(("encoder", _setting(configuration, "encoder.name")))
    rows += [(title, _setting(configuration, key)) for title, key in _TRAINING.items()]
    yield _table(*rows)


def _metrics(lineage: Lineage) -> Iterator[Block]:
    metrics = lineage.metrics
    where = f"the {lineage.held_out_split} split" if lineage.held_out_split else "held-out images"
    if lineage.held_out_images:
        where += f", {lineage.held_out_images:,} images"
    yield Block(paragraph=f"Measured on {where}.")
    ordered = [*names_at(Place.CARD), *sorted(set(metrics) - set(names_at(Place.CARD)))]
    shown = [
        name
        for name in ordered
        if is_shown(name, Place.CARD) and (name in metrics or is_shown(name, Place.CARD_ALWAYS))
    ]
    rows = [
        (describe(name).title, _value(metrics, name), _interval(metrics, name)) for name in shown
    ]
    yield Block(header=("metric", "value", "95 % interval"), rows=tuple(rows))


def _robustness(metrics: Mapping[str, float]) -> Iterator[Block]:
    found = {
        one: name for (one,), name in members("robustness/*/accuracy", sorted(metrics)).items()
    }
    if not found and "robustness/mean_accuracy" not in metrics:
        yield Block(
            paragraph=f"Accuracy on corrupted images (noise, blur, weather, compression) was "
            f"{NOT_MEASURED}. Expect it to be lower than on clean ones."
        )
        return
    yield Block(
        paragraph="Accuracy on held-out images under common corruptions (Hendrycks & Dietterich, "
        "2019), mean over the severities that were measured. Images like these are answered worse, "
        "and nothing in the answer shows it."
    )
    rows = [("clean", _value(metrics, "robustness/clean_accuracy"))]
    rows += [(name.replace("_", " "), _value(metrics, key)) for name, key in found.items()]
    rows.append(("mean", _value(metrics, "robustness/mean_accuracy")))
    if "robustness/mce" in metrics:
        rows.append(("mCE against the baseline", _value(metrics, "robustness/mce")))
    yield Block(header=("images", "accuracy"), rows=tuple(rows))


def _on_corrupted(metrics: Mapping[str, float]) -> str:
    clean, mean = (
        _value(metrics, f"robustness/{name}") for name in ("clean_accuracy", "mean_accuracy")
    )
    if mean == NOT_MEASURED:
        return f"What noise, blur, weather and compression do to its answers was {NOT_MEASURED}."
    return f"Of corrupted images it gets {mean} right, of the same images as they were {clean}."


def _calibration(metrics: Mapping[str, float]) -> str:
    if "calibration/ece" not in metrics:
        return (
            f"Whether its probabilities are true to how often it is right was {NOT_MEASURED}: take "
            f"them for an order, not for chances."
        )
    return (
        f"The expected calibration error of the linear probe is "
        f"{_value(metrics, 'calibration/ece')}: by so much its confidence differs, on average over "
        f"held-out images, from how often it is right."
    )


def _calls(lineage: Lineage, contract: Contract) -> Iterator[Block]:
    yield Block(
        header=("signature", "takes", "gives"),
        rows=tuple(
            (
                name,
                ", ".join(f"{key} {tensor}" for key, tensor in signature.inputs.items()),
                ", ".join(f"{key} {tensor}" for key, tensor in signature.outputs.items()),
            )
            for name, signature in contract.items()
        ),
    )
    default = contract.get("serving_default")
    if default is None or list(default.inputs) != ["image_bytes"]:
        return
    yield Block(paragraph="With TensorFlow Serving, or `twofold serve`, on port 8501:")
    instance = json.dumps({"instances": [{"b64": "..."}]})
    yield Block(
        language="sh",
        code="# ... is the file in base64: base64 -w0 photo.jpg\n"
        f"curl -d '{instance}' http://localhost:8501/v1/models/encoder:predict",
    )
    outputs = ", ".join(default.outputs)
    yield Block(paragraph=f"In Python, without a server; the answer holds {outputs}:")
    yield Block(
        language="python",
        code="import tensorflow as tf\n\n"
        'model = tf.saved_model.load("path/to/the/version")\n'
        'files = tf.constant([open("photo.jpg", "rb").read()])\n'
        'answer = model.signatures["serving_default"](image_bytes=files)',
    )


def _licences(lineage: Lineage) -> Iterator[Block]:
    licences = dict(lineage.licences)
    yield _table(
        ("Twofold", licences.pop("twofold", NOT_STATED)),
        ("the images", lineage.data.licence),
    )
    if licences:
        yield Block(paragraph="The packages that made it, as they state theirs:")
        yield Block(header=("package", "licence"), rows=tuple(sorted(licences.items())))


def _origin(lineage: Lineage) -> Iterator[Block]:
    rows = [("checkpoint, sha256", lineage.checkpoint or "not recorded")]
    rows += [(name, value or "none") for name, value in lineage.versions.items()]
    yield _table(*rows)
    if lineage.configuration_yaml:
        yield Block(paragraph="The configuration, which `twofold run` takes:")
        yield Block(
            code=lineage.configuration_yaml.rstrip(), language="yaml", folded="All settings"
        )


def _table(*rows: tuple[str, str]) -> Block:
    return Block(rows=rows)


def _value(metrics: Mapping[str, float], name: str) -> str:
    value = metrics.get(name, math.nan)
    return value_text(name, value) if math.isfinite(value) else NOT_MEASURED


def _interval(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics or not describe(name).interval:
        return "-"
    bounds = bounds_of(name, metrics)
    return NOT_MEASURED if bounds is None else interval_text(name, *bounds)


def _count(value: int | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,}"


def _setting(configuration: Mapping[str, Any], path: str) -> str:
    value: Any = configuration
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return "not recorded" if value is None else str(value)


def _markdown(block: Block) -> Iterator[str]:
    if block.paragraph:
        parts = block.paragraph.split("`")
        texts = [
            f"`{one}`" if n % 2 else _MARKUP.sub(r"\\\g<0>", one) for n, one in enumerate(parts)
        ]
        yield "".join(texts)
    for point in block.points:
        yield f"- {_escape(point)}"
    if block.rows:
        width = len(block.rows[0])
        yield _row(block.header or ("",) * width)
        yield _row(("---",) * width, escaped=True)
        yield from map(_row, block.rows)
    if block.code:
        # A fence is longer than any within.
        longest = max((len(run) for run in re.findall(r"`+", block.code)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from (f"{fence}{block.language}", block.code, fence)


def _row(cells: Sequence[str], escaped: bool = False) -> str:
    return "| " + " | ".join(cell if escaped else _escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", visible(one_line(text)))
