"""The pages in headless Chromium: no complaint, no request, no sideways scrolling."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser
from tests.components.pages.run_pages import EMPTY, comparison_content, run_content
from twofold.components.pages.comparison_page import render_comparison
from twofold.components.pages.run_page import render_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

LONG = "a_name_without_an_end_" * 8
PAGES = {
    "run": lambda: render_run(run_content()),
    "bare run": lambda: render_run(run_content(**EMPTY)),
    "long names": lambda: render_run(
        run_content(
            name=LONG,
            lineage=[("data set", LONG)],
            changed=[(LONG, LONG, LONG)],
            configuration=LONG,
            notes=[LONG],
            metrics={f"{LONG}/accuracy": 0.5},
        )
    ),
    "comparison": lambda: render_comparison(comparison_content()),
    "long comparison": lambda: render_comparison(
        comparison_content(
            settings=[(LONG, [LONG, LONG])], datasets=[(LONG, "e" * 64), ("b", "f" * 64)]
        )
    ),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_in_a_browser(
    browser: Browser, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](), encoding="utf-8")
    seen = browser.open(path, width, dark=dark)

    assert seen.console == []
    assert seen.requests == [path.as_uri()]
    assert seen.overflow <= 0
    assert seen.unnamed == []
    assert seen.picture.startswith(b"\x89PNG")


def test_the_browser_would_tell(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<meta name='viewport' content='width=device-width'><div style='width: 900px'>x</div>"
        "<img src='missing.png'><svg></svg><script>console.error('no')</script>"
    )
    seen = browser.open(path, 390)

    assert any("no" in message for message in seen.console)
    assert any(url.endswith("missing.png") for url in seen.requests)
    assert seen.overflow > 0
    assert len(seen.unnamed) == 2


def test_light_and_dark_differ(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_run(run_content()), encoding="utf-8")

    assert browser.open(path, 390).picture != browser.open(path, 390, dark=True).picture
