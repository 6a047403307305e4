"""The page of a study, as a browser would read it."""

import re
from typing import Any

import pytest

from tests.components.pages.dataset_pages import Page
from tests.components.pages.run_pages import png
from twofold.components.pages.expected_result import ExpectedResult
from twofold.components.pages.study_page import StudyContent, render_study

UNKNOWN = "\N{EN DASH}"
HOSTILE = '<script>alert("x")</script>\u202e&'
METRICS = {
    "study/supervised/shape_accuracy": 0.91,
    "study/supervised/shape_accuracy_low": 0.885,
    "study/supervised/shape_accuracy_high": 0.935,
    "study/supervised/dead_units": 3.0,
    "study/supervised/decodability/posX": 0.4,
    "study/sim_clr/shape_accuracy": 0.87,
    "study/sim_clr/shape_accuracy@0.1": 0.61,
    "study/sim_clr/shape_accuracy@0.1_low": 0.6,
    "study/sim_clr/shape_accuracy@0.1_high": 0.62,
    "study/sim_clr/shape_accuracy@0.025": 0.44,
    "study/sim_clr/knn_accuracy": 0.8125,
    "study/sim_clr/effective_rank": 12.345,
}
FIGURES = ("accuracies", "decodability", "fractions", "rsm_class", "rsm_histogram", "rsm_posX")


def content(**changes):
    values: dict[str, Any] = {
        "name": "shapes",
        "label": "shape",
        "encoders": ["supervised", "sim_clr"],
        "metrics": METRICS,
        "reference": {"sim_clr": 0.85},
        "seeds": {"supervised": {"0": 0.9, "1": 0.92}, "sim_clr": {"0": 0.87}},
        "figures": {name: png(n) for n, name in enumerate(FIGURES)},
        "figures_of_seed": 7,
        "lineage": [("recipe", "dsprites_study"), ("data set", "dsprites-0123"), ("seed", "0")],
        "configuration": "name: shapes\nseed: 0\n",
        "members": [("sim-seed-0", "sim-seed-0/report.html", 12.25), ("random-seed-0", None, 1.5)],
        "notes": ["One seed: another one moves every metric."],
    }
    return StudyContent(**(values | changes))


def row_of(text, name):
    """The cells of a table's row, as texts, of each table that has the row."""
    found = re.findall(rf'<tr><th scope="row">{re.escape(name)}</th>(.*?)</tr>', text, re.S)
    return [
        [" ".join(Page(cell).text.split()) for cell in re.findall(r"<td>.*?</td>", row, re.S)]
        for row in found
    ]


def test_equal_content_gives_equal_text():
    assert render_study(content()) == render_study(content())


@pytest.mark.parametrize("changes", [{}, {"figures": {}, "notes": [], "members": []}])
def test_the_page_fetches_nothing_and_runs_nothing(changes):
    page = Page(render_study(content(**changes)))

    for tag, attributes in page.elements:
        for name in ("src", "srcset", "data", "action", "poster", "href"):
            address = attributes.get(name, "#")
            beside = tag == "a" and not re.match(r"[a-z]+:|/", address)
            assert beside or address.startswith(("#", "data:image/"))
        assert not any(name.startswith("on") for name in attributes)
    assert not page.having("script")
    assert not page.having("link")
    assert "url(" not in "".join(page.styles)
    policies = [meta["content"] for meta in page.having("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_encoders_stand_side_by_side_with_what_is_known_of_each():
    text = render_study(content())
    page = Page(text)

    # Only measures that one of them has are columns, in one order.
    columns = re.findall(r'<th scope="col">(.*?)</th>', text)
    assert columns[1:6] == ["accuracy of shape", "published", "kNN", "effective rank", "dead units"]
    supervised, clr = row_of(text, "supervised"), row_of(text, "sim clr")
    assert supervised[0] == [
        "91.00% 95 %: 88.50% to 93.50% seed 0: 90.00%, seed 1: 92.00%",
        *(UNKNOWN, UNKNOWN, UNKNOWN, "3"),
    ]
    # One seed has no interval.
    assert clr[0] == ["87.00%", "85.00%", "81.25%", "12.35", UNKNOWN]
    for piece in (
        "2 encoders of the same images · recipe dsprites_study · data set dsprites-0123",
        "One seed: another one moves every metric.",
        "together 13.8",
        "name: shapes seed: 0",
        "study/supervised/decodability/posX 0.4",
        "Of seed 7.",
    ):
        assert piece in page.text, piece
    assert {"href": "sim-seed-0/report.html"} in page.having("a")
    assert sum("href" in link and "report" in link["href"] for link in page.having("a")) == 1


def test_what_a_recipe_expects_stands_beside_what_was_found():
    result = ExpectedResult("simclr, shape accuracy", "99% (98% to 100%)", "seed 1", "97%", False)
    page = Page(render_study(content(expected=[result], expected_notes=["Of sprites."])))

    assert "Expected and found Of sprites." in page.text
    assert "simclr, shape accuracy 99% (98% to 100%) seed 1 97% outside the range" in page.text


def test_published_figures_have_a_column_where_there_are_any():
    assert "published" in Page(render_study(content())).text
    without = Page(render_study(content(reference={}, figures={})))
    assert "published" not in without.text


@pytest.mark.parametrize("order", [["supervised", "sim_clr"], ["sim_clr", "supervised"]])
def test_fewer_labels_are_a_table_that_ends_with_all_of_them(order):
    text = render_study(content(encoders=order))

    shares = re.findall(r'<th scope="col">([0-9.]+ %)</th>', text)
    assert shares == ["2.5 %", "10 %", "100 %"]
    assert row_of(text, "sim clr")[1] == ["44.00%", "61.00%", "87.00%"]
    # Known with all labels, whichever encoder comes first.
    assert row_of(text, "supervised")[1] == [UNKNOWN, UNKNOWN, "91.00%"]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"metrics": {k: v for k, v in METRICS.items() if "@" not in k}}, "fractions"),
        ({"figures": {"accuracies": png(), "rsm_class": png()}}, "decodability"),
        ({"figures": {"accuracies": png(), "decodability": png()}}, "similarity"),
    ],
)
def test_a_section_is_there_only_with_its_content(changes, missing):
    def sections(content):
        page = Page(render_study(content))
        found = [section["id"] for section in page.having("section")]
        assert {link["href"] for link in page.having("a") if link["href"][0] == "#"} == {
            f"#{name}" for name in found
        }
        return found

    everything = sections(content())
    fewer = sections(content(**changes))
    assert [name for name in everything if name != missing] == fewer


def test_without_figures_no_picture_is_left():
    page = Page(render_study(content(figures={})))

    assert not page.having("img")
    sections = [section["id"] for section in page.having("section")]
    assert sections == ["encoders", "fractions", "members", "measures"]


def test_every_picture_has_a_text():
    page = Page(render_study(content()))

    assert len(page.having("img")) == len(FIGURES)
    assert all(image["alt"] for image in page.having("img"))
    assert "Rows and columns sorted by shape." in page.text
    assert "Rows and columns sorted by posX." in page.text


def test_what_others_wrote_is_only_text():
    hostile = content(
        name=HOSTILE,
        label=HOSTILE,
        encoders=[HOSTILE],
        metrics={f"study/{HOSTILE}/{HOSTILE}_accuracy": 0.5},
        seeds={HOSTILE: {HOSTILE: 0.4, "1": 0.6}},
        lineage=[(HOSTILE, HOSTILE), ("recipe", HOSTILE)],
        configuration=HOSTILE,
        members=[(HOSTILE, 'x" onclick="y', 1.0)],
        notes=[HOSTILE],
    )
    text = render_study(hostile)
    page = Page(text)

    assert not page.having("script")
    assert not any("onclick" in attributes for _, attributes in page.elements)
    assert "\u202e" not in text
    assert page.text.count('<script>alert("x")</script>\\u202e&') >= 8
