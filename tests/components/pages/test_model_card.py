import dataclasses
import html.parser
import re

import pytest

from tests.exported import LINEAGE, save_tiny, with_metrics
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.lineage import DataSummary
from twofold.components.export.saved_model.signature_contract import Signature, Tensor
from twofold.components.pages.model_card import card, render_html, render_markdown, write_model_card

CONTRACT = {
    "serving_default": Signature(
        "tensorflow/serving/predict",
        {"image_bytes": Tensor("string", (None,))},
        {"embedding": Tensor("float32", (None, 3)), "logits": Tensor("float32", (None, 2))},
    )
}
HOSTILE = '<script>alert("1")</script> | `x` [a](http://b) \u202e&amp; *b*\n# h'


class Page(html.parser.HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def cells_of(markdown, first):
    """The other cells of a table's row."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \| (.*) \|$", markdown, re.MULTILINE)
    return row.split(" | ")


def test_the_card_says_what_the_lineage_says():
    markdown = render_markdown(LINEAGE, CONTRACT)

    assert markdown.startswith("# Model card: tiny\n\n## Intended use\n")
    assert "| classes | cat, dog |" in markdown
    assert "| classes | cat (500), dog (500) |" in markdown
    assert cells_of(markdown, "images") == ["100 test, 900 train"]
    assert cells_of(markdown, "training images that resemble a held-out one") == ["0"]
    assert cells_of(markdown, "method") == ["simclr"]
    assert cells_of(markdown, "epochs") == ["2"]
    assert cells_of(markdown, "checkpoint, sha256") == ["c" * 64]
    assert cells_of(markdown, "Twofold") == ["Apache-2.0"]
    assert cells_of(markdown, "numpy") == ["BSD-3-Clause"]
    assert cells_of(markdown, "git_revision") == ["none"]
    assert "Measured on the test split, 100 images." in markdown
    assert "```yaml\nname: tiny\nseed: 3\n```" in markdown


def test_figures_have_their_intervals_and_what_was_not_measured_is_said():
    markdown = render_markdown(with_metrics(robustness__mean_accuracy=None), CONTRACT)

    assert cells_of(markdown, "linear probe, held-out accuracy") == ["90.00%", "82.56% to 94.48%"]
    assert cells_of(markdown, "kNN, held-out accuracy") == ["88.00%", "not measured"]
    assert cells_of(markdown, "retrieval, recall at 1") == ["not measured", "-"]
    assert "noise, blur, weather, compression) was not measured" in markdown
    assert "calibration error of the linear probe is 5.00%" in markdown
    assert "does not turn images by their EXIF orientation" in markdown


def test_a_model_without_labels_has_no_accuracy_and_no_classes():
    bare = dataclasses.replace(LINEAGE, class_names=(), metrics={}, data=DataSummary("f"))

    markdown = render_markdown(bare, CONTRACT)

    assert cells_of(markdown, "linear probe, held-out accuracy") == ["not measured", "-"]
    assert "how often it is right was not measured" in markdown
    assert "It tells no classes apart" in markdown
    assert cells_of(markdown, "images that another one resembles") == ["not searched for"]
    assert cells_of(markdown, "rejected images") == ["not recorded"]
    assert cells_of(markdown, "the images") == ["not stated"]


def test_corruptions_that_were_measured_are_shown_and_named_a_limit():
    lineage = with_metrics(
        robustness__clean_accuracy=0.9,
        robustness__mean_accuracy=0.61,
        robustness__gaussian_noise__accuracy=0.5,
        robustness__gaussian_noise__3__accuracy=0.4,
        robustness__mce=0.75,
    )

    markdown = render_markdown(lineage, CONTRACT)

    assert cells_of(markdown, "gaussian noise") == ["50.00%"]
    assert cells_of(markdown, "mean") == ["61.00%"]
    assert cells_of(markdown, "mCE against the baseline") == ["0.75"]
    assert "Of corrupted images it gets 61.00% right, of the same images as they were 90.00%." in (
        markdown
    )
    assert "40.00%" not in markdown


def test_a_measure_that_the_card_does_not_know_is_shown_by_its_name():
    markdown = render_markdown(with_metrics(finetuned_all__test_accuracy=0.95), CONTRACT)

    assert cells_of(markdown, "finetuned all, held-out accuracy") == ["95.00%", "not measured"]


def test_how_to_call_it_is_told_from_its_signatures():
    markdown = render_markdown(LINEAGE, CONTRACT)

    assert cells_of(markdown, "serving_default") == [
        r"image_bytes string \[?\]",
        r"embedding float32 \[?,3\], logits float32 \[?,2\]",
    ]
    assert "or `twofold serve`, on port 8501:" in markdown
    assert 'model.signatures["serving_default"](image_bytes=files)' in markdown
    foreign = {"other": Signature("m", {"x": Tensor("float32", None)}, {})}
    assert "curl" not in render_markdown(LINEAGE, foreign)


def test_the_page_is_whole_fetches_nothing_and_says_the_same():
    page = Page(render_html(LINEAGE, CONTRACT))

    assert page.open == []
    assert "script" not in page.tags
    addresses = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert ("meta", "http-equiv", "Content-Security-Policy") in page.attributes
    for section in card(LINEAGE, CONTRACT):
        assert section.title in page.text
        for block in section.blocks:
            for cell in [*block.header, *(cell for row in block.rows for cell in row)]:
                assert cell in page.text
            assert block.code in page.text
            assert block.paragraph.replace("`", "") in page.text


def test_names_are_never_markup():
    lineage = dataclasses.replace(
        LINEAGE,
        configuration={"name": HOSTILE},
        configuration_yaml=f"name: |\n  ```\n  {HOSTILE}\n",
        class_names=(HOSTILE, "b"),
        data=dataclasses.replace(LINEAGE.data, name=HOSTILE, labels={HOSTILE: 1}),
    )

    page = Page(render_html(lineage, CONTRACT))
    assert page.open == []
    assert not {"script", "em"} & set(page.tags)
    assert not [value for _, name, value in page.attributes if name == "href" and "://" in value]
    assert "\u202e" not in page.text.partition("name: |")[0]
    markdown = render_markdown(lineage, CONTRACT)
    (row,) = re.findall(r"^\| data set \| (.*) \|$", markdown, re.MULTILINE)
    assert row == (
        r'\<script\>alert("1")\</script\> \| \`x\` \[a\](http://b) \\u202e\&amp; \*b\* \# h'
    )
    # The fence is longer than any within.
    assert re.search(r"^````yaml\n(?:.*\n)+?````$", markdown, re.MULTILINE)


def test_both_forms_are_written_beside_the_model(tmp_path):
    version = save_tiny(tmp_path / "1")

    markdown, page = write_model_card(version, LINEAGE)

    assert markdown == version / "assets.extra" / "model_card.md"
    assert "logits float32" in markdown.read_text()
    assert "logits float32" in page.read_text()
    with pytest.raises(ExportedModelError, match="cannot be read"):
        write_model_card(tmp_path, LINEAGE)
