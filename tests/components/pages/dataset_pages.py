"""Reports to look at: what they are made of, and what a browser would see of them."""

import html.parser
import re
from typing import Any

from tests.components.data.handmade import picture
from twofold.components.data.preparation.report_content import ReportContent, Sample
from twofold.components.data.store.manifest import Shard, SplitRecord
from twofold.components.pages.dataset_page import render_report

COLUMNS = ["height", "width", "channels", "stored_bytes", "split", "label", "sums", "squares"]
EMPTY_TAGS = ("meta", "img", "br", "link", "input")


class Page(html.parser.HTMLParser):
    """A page's elements with their attributes, its text, and whether its elements nest."""

    def __init__(self, text):
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.styles if self.open[-1:] == ["style"] else self.texts).append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts)).replace(" ,", ",")

    def having(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def content(manifest, table, **changes):
    values = {
        "samples": {name: [Sample(f"{name}/{n}", picture(n)) for n in range(3)] for name in "ab"},
        "rejects": (),
        "clusters": (),
        **changes,
    }
    return ReportContent(manifest=manifest, shape_table=table, **values)


def split_of(labels, unlabelled=0):
    images = sum(labels.values()) + unlabelled
    shard = Shard(file="x", bytes=images, sha256="0" * 64, blocks=(), images=images, content="")
    return SplitRecord(images=images, labels=labels, unlabelled=unlabelled, shards=(shard,))


def with_labels(manifest, **splits):
    """The manifest with other splits; each is given as a dict of labels."""
    names = {name: None for labels in splits.values() for name in labels}
    return manifest.model_copy(
        update={
            "class_names": tuple(names),
            "splits": {split: split_of(labels) for split, labels in splits.items()},
        }
    )


def notes(manifest, table, **changes):
    page = render_report(content(manifest, table, **changes))
    found = re.search(r'<ul class="notes".*?</ul>', page, re.S)
    return re.findall(r"<li>(.*?)</li>", found[0], re.S) if found else []
