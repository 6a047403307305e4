"""The page of a run and that of a comparison, as a browser would read them."""

import dataclasses
import re

import numpy as np
import pytest

from tests.components.pages.dataset_pages import Page
from tests.components.pages.run_pages import (
    EMPTY,
    METRICS,
    comparison_content,
    curves,
    examples,
    pixels,
    run_content,
)
from twofold.components.evaluation.run_comparison import Group, MeasuredRun, compare
from twofold.components.pages.comparison_page import render_comparison
from twofold.components.pages.run_page import Confusion, Examples, Failure, render_run

HOSTILE = '<script>alert("x")</script>\u202e&'
PAGES = {
    "run": lambda: render_run(run_content()),
    "bare run": lambda: render_run(run_content(**EMPTY)),
    "comparison": lambda: render_comparison(comparison_content()),
}


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_equal_content_gives_equal_text(make):
    assert make() == make()


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_a_page_fetches_nothing_and_runs_nothing(make):
    page = Page(make())

    for tag, attributes in page.elements:
        for name in ("src", "srcset", "data", "action", "poster", "href"):
            address = attributes.get(name, "#")
            beside = tag == "a" and not re.match(r"[a-z]+:|/", address)
            assert beside or address.startswith(("#", "data:image/"))
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in attributes.get("style", "")
    assert not page.having("script")
    assert not page.having("link")
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)
    policies = [meta["content"] for meta in page.having("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_every_picture_has_a_text_and_every_link_a_target(make):
    text = make()
    page = Page(text)

    assert all(image["alt"] for image in page.having("img"))
    for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
        assert 'role="img"' in drawing
        assert re.search(r'aria-label="[^"]+"|<title>[^<]+</title>\s*<desc>[^<]+</desc>', drawing)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = {link["href"] for link in page.having("a") if link["href"].startswith("#")}
    assert inside == {f"#{name}" for name in ids}


@pytest.mark.parametrize("name", run_content().figures)
def test_every_picture_of_a_run_has_a_place(name):
    figures = run_content().figures
    without = {other: png for other, png in figures.items() if other != name}

    def pictures(shown):
        return len(Page(render_run(run_content(figures=shown))).having("img"))

    assert pictures(figures) > pictures(without)


def test_what_a_run_has_is_on_its_page():
    page = Page(render_run(run_content()))

    for text in (
        "94.00% linear probe, held-out accuracy 95 % interval 92.35% to 95.31%",
        "Accuracies are of 1,000 held-out images, those on corrupted",
        "The step export did not finish (failed): no room.",
        "training.epochs 12 60",
        "name: first seed: 0",
        "recipe quickstart",
        "pretrain done 52.4",
        "together 53.9",
        "training steps 768",
        "export/bytes 487 KiB",
        "The linear probe gets 3 of 20 held-out images wrong.",
        "97.30% sure",
    ):
        assert text in page.text, text
    assert {"href": "../datasets/a%20b/dataset_report.html"} in page.having("a")


def test_what_a_run_lacks_has_no_section():
    page = Page(render_run(run_content(**EMPTY)))

    sections = [section["id"] for section in page.having("section")]
    assert sections == ["run", "cost"]
    assert not page.having("img")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"curves": {}, "teacher_curves": {}}, "curves"),
        ({"examples": dataclasses.replace(examples(), queries=())}, "neighbours"),
        ({"examples": dataclasses.replace(examples(), failures=())}, "failures"),
        ({"examples": dataclasses.replace(examples(), confusion=None)}, "confusion"),
        ({"metrics": {"knn/test_accuracy": 0.5}}, "robustness"),
        ({"metrics": {"knn/test_accuracy": 0.5}}, "fractions"),
        ({"figures": {}}, "similarity"),
    ],
)
def test_a_section_is_there_only_with_its_content(changes, missing):
    def sections(content):
        return [section["id"] for section in Page(render_run(content)).having("section")]

    everything = sections(run_content())
    assert missing in everything
    assert missing not in sections(run_content(**changes))


def test_neighbours_are_marked_in_words_and_not_by_colour_alone():
    page = Page(render_run(run_content()))
    texts = [image["alt"] for image in page.having("img")]

    assert "neighbour 1, same class: cat, train/1.png" in texts
    assert "neighbour 2, another class: dog, train/2.png" in texts
    assert "neighbour 3: without a label, train/3.png" in texts
    assert "✓ 0.99" in page.text
    assert "✗ dog 0.90" in page.text


def test_corruptions_are_a_table_with_readable_values():
    page = Page(render_run(run_content()))

    assert "corruption 1 3 mean" in page.text
    assert "fog 50.0 not measured 50.0" in page.text
    assert "gaussian noise 87.5 62.5 75.0" in page.text
    assert "66.67% in the mean" in page.text


def test_fewer_labels_are_a_chart_and_a_table():
    text = render_run(run_content())

    assert "0.01: 60.00%, 95 % interval 56.93% to 62.99%" in text
    assert "1 % 60.00% 56.93% to 62.99%" in Page(text).text


def test_many_classes_are_told_by_their_mistakes():
    names = tuple(f"class {n}" for n in range(30))
    counts = np.diag(np.full(30, 10))
    counts[3, 7] = 5
    page = Page(render_run(run_content(examples=Examples(confusion=Confusion(names, counts)))))

    assert "class 3 class 7 5 33 %" in page.text
    assert "The linear probe gets 5 of 305 held-out images wrong." in page.text
    assert not any(table.get("class") == "matrix" for table in page.having("table")[:4])


def test_names_are_shown_and_not_run():
    hostile = Examples(
        confusion=Confusion((HOSTILE, "b"), np.array([[1, 1], [0, 1]])),
        failures=(Failure(HOSTILE, HOSTILE, "b", 0.9, pixels()),),
    )
    content = run_content(
        name=HOSTILE,
        lineage=[("recipe", HOSTILE)],
        configuration=HOSTILE,
        changed=[(HOSTILE, HOSTILE, HOSTILE)],
        notes=[HOSTILE],
        links=[(HOSTILE, '"><script>')],
        metrics={HOSTILE: 1.0, f"robustness/{HOSTILE}/1/accuracy": 0.5},
        curves={HOSTILE: curves()["loss"]},
        examples=hostile,
    )
    for text in (render_run(content), _comparison_of(HOSTILE)):
        page = Page(text)
        assert not page.having("script")
        assert "alert(" in page.text
        assert "\u202e" not in text


def _comparison_of(name):
    run = MeasuredRun(name, {name: 0.5})
    groups = [Group(name, (run,)), Group("b", (run,))]
    return render_comparison(
        comparison_content(groups=groups, rows=compare(groups), settings=[(name, [name, name])])
    )


def test_a_comparison_says_what_differs_and_whether_that_is_noise():
    page = Page(render_comparison(comparison_content()))

    assert "70.00% 95 %: 67.09% to 72.76% -24.00 points exceeds noise (p < 0.001)" in page.text
    assert "91.00% +0.00 points not known: no interval" in page.text
    assert "training.epochs 12 3" in page.text
    assert "seconds of pretrain 52.4 -" in page.text
    assert not [one for _, one in page.elements if one.get("role") == "alert"]
    # One chart a curve, with a line a run.
    charts = [one for _, one in page.elements if one.get("class") == "chart"]
    assert len(charts) == len(curves())
    assert page.text.count("second 2 at step 1 to 0.06897 at step 29") == 1


def test_what_is_not_compared_is_said_with_the_reason():
    groups = [Group(name, (MeasuredRun(name, {"pretrain/loss": 3.0}),)) for name in "ab"]
    rows = compare(groups, lambda name, group: "other method.name")
    page = Page(render_comparison(comparison_content(groups=groups, rows=rows)))

    assert "not compared: other method.name" in page.text
    assert "the values are not of the same thing" in page.text
    assert "+0" not in page.text


def test_other_data_sets_are_said_loudly():
    other = [("dsprites-0123", "f" * 64), ("folder-4567", "e" * 64)]
    page = Page(render_comparison(comparison_content(datasets=other)))

    assert [tag for tag, one in page.elements if one.get("role") == "alert"] == ["p"]
    assert "first on dsprites-0123, second on folder-4567" in page.text


def test_seeds_alone_have_a_mean_and_no_difference():
    runs = tuple(MeasuredRun(f"s{n}", {"a/test_accuracy": 0.97 + n / 100}, 9) for n in range(3))
    groups = [Group("s0 and 2 more seeds", runs)]
    page = Page(render_comparison(comparison_content(groups=groups, rows=compare(groups))))

    # 0.98 +- 4.3027 * 0.01 / sqrt(3); no accuracy is above one.
    assert "98.00% 95 %: 95.52% to 100.00% 97.00%, 98.00%, 99.00%" in page.text
    assert "All runs differ in their seed alone" in page.text
    assert "Differences are to" not in page.text
    assert "exceeds noise" not in page.text.lower()


def test_no_metric_is_lost():
    page = Page(render_run(run_content()))

    assert all(name in page.text for name in METRICS)
