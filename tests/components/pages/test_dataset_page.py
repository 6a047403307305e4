import base64
import io
import itertools
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.components.data.handmade import entries, picture, write_dataset
from tests.components.pages.dataset_pages import COLUMNS, Page, content, notes, with_labels
from twofold.components.data.preparation.report_content import (
    Cluster,
    ClusterMember,
    Reject,
    Sample,
    thumbnail,
)
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import IMAGES_FILE, Counts, load_manifest
from twofold.components.pages.dataset_page import render_report, samples_shown


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "dataset"
    write_dataset(path, entries(60, 2))
    return path


@pytest.fixture(scope="module")
def manifest(directory):
    return load_manifest(directory)


@pytest.fixture(scope="module")
def table(directory, manifest):
    return pq.read_table(directory / IMAGES_FILE, columns=COLUMNS)


def test_equal_content_gives_equal_text(directory, manifest, table):
    page = render_report(content(manifest, table))

    assert render_report(content(manifest, table)) == page
    # The manifest that was written sorts what one that was made does not.
    turned = manifest.model_copy(
        update={
            name: dict(reversed(getattr(manifest, name).items()))
            for name in ("splits", "image_sizes", "formats", "settings")
        }
    )
    assert render_report(content(turned, table)) == page
    assert str(directory) not in page


def test_the_page_fetches_nothing_and_runs_nothing(manifest, table):
    page = Page(render_report(content(manifest, table)))

    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            address = attributes.get(name, "#")
            assert address.startswith(("#", "data:image/"))
        assert not any(name.startswith("on") for name in attributes)
    assert not page.having("script")
    assert not page.having("link")
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)


def test_the_page_is_for_every_width_and_for_light_and_dark(manifest, table):
    page = Page(render_report(content(manifest, table)))

    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in (
        page.having("meta")
    )
    assert "prefers-color-scheme: dark" in "".join(page.styles)


def test_links_lead_to_sections_and_ids_are_unique(manifest, table):
    page = Page(render_report(content(manifest, table)))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.having("a")} == {f"#{name}" for name in ids}


def test_every_chart_and_image_has_a_text_that_says_the_same(manifest, table):
    text = render_report(content(manifest, table))

    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert sum("<desc>" in drawing for drawing in drawings) == 2
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r'aria-label="[^"]+"|<title>[^<]+</title>\s*<desc>[^<]+</desc>', drawing)
    assert all(image["alt"] for image in Page(text).having("img"))


def test_the_headline_says_where_all_images_went(manifest, table):
    counts = Counts(
        read=12_345,
        written=12_000,
        rejected=300,
        duplicates=45,
        reasons={"damaged": 200, "too small": 100},
        repairs={"turned upright": 7},
    )
    page = Page(render_report(content(manifest.model_copy(update={"counts": counts}), table)))

    assert "12,345 read = 12,000 written + 300 rejected + 45 left out as duplicates." in page.text
    labels = [attributes.get("aria-label") for attributes in page.having("svg")]
    assert {"damaged: 200 images", "too small: 100 images", "turned upright: 7 images"} <= {*labels}


def test_statistics_are_given_to_six_digits(manifest, table):
    page = Page(render_report(content(manifest, table)))

    for value in (*manifest.statistics.mean, *manifest.statistics.std):
        assert f"{value:.6f}" in page.text


def test_sizes_are_a_sentence_where_there_is_one_and_a_table_else(manifest, table):
    assert "All 60 images are 6 x 5 pixels" in Page(render_report(content(manifest, table))).text

    sizes = {f"{n}x9": n for n in range(1, 21)}
    page = Page(
        render_report(content(manifest.model_copy(update={"image_sizes": sizes}), table))
    ).text
    assert "20 x 9 20 19 x 9 19" in page
    # Twelve are listed, of 20 down to 9 images; the others have 8 down to 1.
    assert "8 more 36" in page


def test_a_dataset_without_labels_has_no_class_balance(tmp_path):
    images = [{**image, "label": -1} for image in entries(8)]
    manifest = write_dataset(tmp_path, images, class_names=())
    table = pq.read_table(tmp_path / IMAGES_FILE, columns=COLUMNS)

    text = render_report(content(manifest, table, samples={"": [Sample("k", picture(0))]}))

    assert 'id="balance"' not in text
    assert "without a label" in Page(text).text
    assert "There are no labels: it is for pretraining alone." in notes(manifest, table)


def test_images_that_are_alike_are_shown_with_what_became_of_them(manifest, table):
    def member(key, split, kept):
        return ClusterMember(key, split, kept, picture(1))

    clusters = [
        Cluster("near", False, (member("n1", "train", True), member("n2", "train", False))),
        Cluster("exact", True, (member("e1", "train", False), member("e2", "test", True)), size=9),
    ]
    page = Page(render_report(content(manifest, table, clusters=clusters))).text

    shown = page[page.index("Images that are alike") :]
    # What leaks comes first.
    assert re.search(
        r"equal pixels training resembles held-out 9 images left out train e1 kept test e2 7 more "
        r"look alike 2 images kept train n1 left out train n2",
        shown,
    )


def test_rejects_are_listed_with_their_reason(manifest, table):
    counts = manifest.counts.model_copy(
        update={"read": 160, "rejected": 100, "reasons": {"damaged": 100}}
    )
    rejects = [Reject("folder/1.jpg", "damaged", "cut after 12 bytes", "ab" * 32)]
    page = Page(
        render_report(
            content(manifest.model_copy(update={"counts": counts}), table, rejects=rejects)
        )
    ).text

    assert "folder/1.jpg damaged cut after 12 bytes abababababababab" in page
    assert "99 more are in rejects.jsonl." in page
    assert "100 images were rejected; the reasons are below." in page


def test_files_are_listed_with_their_whole_checksums(manifest, table):
    page = Page(render_report(content(manifest, table))).text

    for file in manifest.every_file:
        assert file.file in page
        assert file.sha256 in page


def test_settings_are_listed_flat(manifest, table):
    options = {"one": {"two": [1, "x"], "three": None}, "four": True, "five": 1234567, "six": 0.25}
    page = Page(render_report(content(manifest.model_copy(update={"settings": options}), table)))

    assert "five 1,234,567 four yes one.three none one.two 1, x six 0.25" in page.text


@settings(max_examples=25, deadline=None)
@given(
    st.text(min_size=1, max_size=30),
    st.text(min_size=1, max_size=30).filter(str.strip),
    st.sampled_from(["<script>alert(1)</script>", '"><img src=x>', "'&amp;", "]]>", "{{ 1 }}", ""]),
)
def test_no_text_of_the_dataset_becomes_markup(manifest, table, key, name, hostile):
    key, name = key + hostile, name + hostile
    named = with_labels(manifest, train={name: 20}, test={name: 20})
    named = named.model_copy(update={"name": key})
    plain = with_labels(manifest, train={"name": 20}, test={"name": 20})

    def page(manifest, key, name):
        return Page(
            render_report(
                content(
                    manifest,
                    table,
                    samples={name: [Sample(key, picture(0))]},
                    rejects=[Reject(key, name, key)],
                    clusters=[Cluster("near", True, (ClusterMember(key, name, True, picture(0)),))],
                )
            )
        )

    shown = page(named, key, name)

    # The same elements with the same attributes as for harmless names.
    assert [(tag, list(attributes)) for tag, attributes in shown.elements] == [
        (tag, list(attributes)) for tag, attributes in page(plain, "key", "name").elements
    ]
    if key.isprintable():
        assert key in shown.having("img")[0]["alt"]


def test_what_cannot_be_seen_or_encoded_is_written_out(manifest, table):
    rejects = [Reject("a\u202eb\x00c\udc80", "damaged", "d\ne")]
    counts = manifest.counts.model_copy(update={"rejected": 1, "reasons": {"damaged": 1}})
    text = render_report(
        content(manifest.model_copy(update={"counts": counts}), table, rejects=rejects)
    )

    assert "a\\u202eb\\x00c\\udc80" in text
    assert text.encode().decode() == text


def test_a_large_dataset_gives_a_page_of_a_few_megabytes(manifest):
    classes = {f"class {n:04d}": n for n in range(1000)}
    rng = np.random.default_rng(0)
    photo = thumbnail(rng.integers(0, 256, (12, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    large = with_labels(manifest, train=classes, test=classes)
    shards = tuple(large.splits["train"].shards[0] for _ in range(5000))
    splits = {"train": large.splits["train"].model_copy(update={"shards": shards})}
    counts = manifest.counts.model_copy(
        update={"read": 10_060, "rejected": 10_000, "reasons": {"damaged": 10_000}}
    )
    large = large.model_copy(
        update={
            "splits": {**large.splits, **splits},
            "counts": counts,
            "image_sizes": {f"{n}x{m}": n for n, m in itertools.product(range(1, 90), repeat=2)},
        }
    )
    rows = 20_000
    table = pa.table(
        [
            rng.integers(1, 900, rows),
            rng.integers(1, 900, rows),
            np.full(rows, 3),
            rng.integers(1, 1 << 20, rows),
            np.where(rng.random(rows) < 0.5, "train", "test"),
            np.zeros(rows),
            pa.array([[1, 2, 3]] * rows),
            pa.array([[1, 2, 3]] * rows),
        ],
        COLUMNS,
    ).cast(pa.schema([INDEX_SCHEMA.field(name) for name in COLUMNS]))
    text = render_report(
        content(
            large,
            table,
            samples={name: [Sample(f"{n}", photo) for n in range(24)] for name in classes},
            rejects=[Reject("k" * 4000, "damaged", "d" * 4000)] * 10_000,
            clusters=[Cluster("near", True, (ClusterMember("k", "s", True, photo),) * 99)] * 500,
        )
    )

    assert len(text) < 8_000_000
    page = Page(text).text
    for more in (
        "9,900 more are in rejects.jsonl",
        "156 more classes",
        "820 further classes are not shown",
        "464 more groups are not shown",
        "93 more",
        "5,001 shards",
    ):
        assert more in page


def test_as_many_samples_are_shown_as_fit():
    assert samples_shown(1) == (1, 24)
    assert samples_shown(30) == (30, 24)
    assert samples_shown(60) == (60, 12)
    assert samples_shown(1000) == (180, 4)
    assert samples_shown(0)[0] == 0


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 3]), st.integers(1, 100))
def test_thumbnails_keep_the_aspect_and_are_never_larger(height, width, channels, side):
    small = thumbnail(np.zeros((height, width, channels), np.uint8), side)

    assert small.dtype == np.uint8
    assert small.shape[2] == channels
    scale = min(1, side / max(height, width))
    for length, original in zip(small.shape, (height, width), strict=False):
        assert 1 <= length <= max(1, min(original, side))
        assert abs(length - original * scale) <= 1


def test_a_thumbnail_of_one_colour_has_that_colour():
    pixels = np.full((200, 300, 3), (10, 20, 30), np.uint8)

    assert np.unique(thumbnail(pixels).reshape(-1, 3), axis=0).tolist() == [[10, 20, 30]]


@pytest.mark.parametrize("shape", [(8, 8, 3), (32, 32, 1), (96, 64, 3), (96, 96, 1)])
def test_the_page_holds_the_images_themselves(manifest, table, shape):
    # A slope, with a little noise where the image is small enough to be stored without loss.
    pixels = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None].repeat(shape[2], 2)
    pixels = pixels.astype(np.uint8) + (picture(5, *shape) // 128 if shape[0] <= 48 else 0)
    text = render_report(content(manifest, table, samples={"cat": [Sample("k", pixels)]}))

    (image,) = Page(text).having("img")
    encoded = base64.b64decode(image["src"].partition(",")[2])
    with Image.open(io.BytesIO(encoded)) as opened:
        shown = np.asarray(opened).reshape(shape)
    assert (int(image["height"]), int(image["width"])) == shape[:2]
    if shape[0] <= 48:
        np.testing.assert_array_equal(shown, pixels)
    else:
        assert np.abs(shown.astype(int) - pixels).mean() < 2


def test_brightness_and_contrast_are_those_of_the_pixels(tmp_path):
    # Half of the pixels are 0 and half 102: the mean is 51 = 0.2 * 255, and so is the deviation.
    half = np.zeros((4, 4, 3), np.uint8)
    half[:2] = 102
    flat = np.full((4, 4, 1), 204, np.uint8)
    images = [
        {**image, "pixels": half if image["split"] == "test" else flat} for image in entries(8)
    ]
    manifest = write_dataset(tmp_path, images)

    page = Page(
        render_report(content(manifest, pq.read_table(tmp_path / IMAGES_FILE, columns=COLUMNS)))
    ).text

    brightness = page[page.index("Brightness") :]
    assert re.search(r"train median 0\.8, .*? test median 0\.2, nine in ten from 0\.2", brightness)
    contrast = page[page.index("Contrast") :]
    assert re.search(r"train median 0, .*? test median 0\.2, nine in ten from 0\.2", contrast)
    assert "75 % of the images are greyscale" in page
