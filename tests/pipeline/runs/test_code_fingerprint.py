"""Code fingerprints change with what a module computes, and with nothing else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twofold.pipeline.runs.code_fingerprint import (
    NO_SOURCE,
    Code,
    Dependencies,
    changed_modules,
    code_digest,
    read_code,
    read_source,
    source_digest,
)

MODULE = '''
"""Probes."""

from house.plots import plot_rows
from house.solver import solve

RATE: float = 0.5  # of learning


class Probe:
    """A probe."""

    rate = RATE


def fit(rows, context):
    """Fits."""
    # Several times.
    if not rows:
        raise ValueError(f"no rows: expected some, received {rows}")
    context.say("fitting")
    logger.info("fitting %s", rows)
    with context.progress("fit", 3, "rows") as show:
        show(1)
    plot_rows(rows, "rows.png", title="Rows")
    return solve(rows, "exact")
'''


def _hash(text: str) -> str:
    return read_code(Dependencies(("m",)), {"m": text.encode()}.get).modules["m"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  # of learning", ""),
        ("# Several times.", "# Once.\n    # Or twice."),
        ('"""Probes."""', '"""Linear probes,\n\nand others."""'),
        ('"""A probe."""', '"""Another."""'),
        ('    """Fits."""\n', ""),
        ("no rows: expected some, received {rows}", "{rows} rows are too few"),
        ('    context.say("fitting")\n', ""),
        ('context.say("fitting")', 'context.say(f"{len(rows)} rows")\n    print("...")'),
        ('logger.info("fitting %s", rows)', 'logger.warning("now")'),
        ('progress("fit", 3, "rows")', 'progress("probe", 3, "images")'),
        ('title="Rows"', "height=3"),
        ('    plot_rows(rows, "rows.png", title="Rows")\n', ""),
        ("from house.plots import plot_rows\n", ""),
        ("RATE: float = 0.5", "RATE :  float=(0.5)"),
    ],
)
def test_what_is_written_for_people_does_not_count(before: str, after: str) -> None:
    assert before in MODULE
    assert _hash(MODULE.replace(before, after)) == _hash(MODULE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.5", "0.25"),
        ('"exact"', '"iterative"'),
        ("raise ValueError(", "raise TypeError("),
        ("if not rows", "if rows"),
        ("rate = RATE", "rate = 1"),
        ("show(1)", "show(2)"),
        ('"fit", 3', '"fit", 4'),
        ("house.solver", "house.newton"),
        ("return solve", "solve"),
        ("plot_rows(rows", "rows = plot_rows(rows"),
        ("import plot_rows", "import plot_rows, rows"),
    ],
)
def test_what_is_computed_counts(before: str, after: str) -> None:
    assert before in MODULE
    assert _hash(MODULE.replace(before, after)) != _hash(MODULE)


def test_the_description_of_a_setting_does_not_count_and_its_range_does() -> None:
    field = "rate: float = Field(0.1, gt=0, description='per epoch')"
    assert _hash(field) == _hash(field.replace("per epoch", "a step"))
    assert _hash(field) != _hash(field.replace("gt=0", "ge=0"))
    assert _hash(field) != _hash(field.replace("0.1", "0.2"))


def test_a_text_that_is_returned_counts() -> None:
    assert _hash("def name():\n    return 'a'") != _hash("def name():\n    return 'b'")


HOUSE = {
    "house": "",
    "house.__init__": "",
    "house.step": "from house.probes import fit\nfrom house import plots\nimport numpy",
    "house.probes": "from . import __init__",
    "house.probes.__init__": "from .linear import fit",
    "house.probes.linear": "def fit():\n    from house.solver import solve\n    return solve()",
    "house.solver": "def solve(): return 1",
    "house.plots": "from house.paint import red",
    "house.paint": "red = 1",
    "house.other": "x = 1",
}
STEP = Dependencies(("house.step",), ("house.plots",))


def _reader(**changed: str) -> Callable[[str], bytes | None]:
    house = HOUSE | {f"house.{name}": text for name, text in changed.items()}
    house["house.probes"] = house["house.probes.__init__"]
    return lambda name: house[name].encode() if name in house else None


def test_imports_are_followed_through_packages_and_functions_to_what_is_left_out() -> None:
    found = read_code(STEP, _reader()).modules
    assert set(found) == {"house.step", "house.probes", "house.probes.linear", "house.solver"}


@pytest.mark.parametrize("left_out", ["house.probes.*", "house.probes"])
def test_a_package_is_left_out_with_all_within_or_alone(left_out: str) -> None:
    roots = ("house.step", "house.probes.linear")
    found = read_code(Dependencies(roots, ("house.plots", left_out)), _reader()).modules
    # What is asked for itself is always there.
    assert set(found) == {"house.step", "house.probes.linear", "house.solver"}


def test_code_of_the_packages_around_a_module_counts_and_a_docstring_does_not() -> None:
    def read(text: str) -> Code:
        house = {**HOUSE, "house": text, "house.probes": HOUSE["house.probes.__init__"]}
        return read_code(STEP, {name: each.encode() for name, each in house.items()}.get)

    before, described, changed = read(""), read('"""A house."""'), read("THREADS = 1")
    assert before.modules == described.modules
    assert changed_modules(before.modules, changed.modules) == ["house"]
    assert before.source != changed.source


def test_the_modules_that_changed_are_named() -> None:
    before = read_code(STEP, _reader())
    after = read_code(STEP, _reader(solver="def solve(): return 2", plots="x = 2"))
    assert changed_modules(before.modules, after.modules) == ["house.solver"]
    assert before.digest != after.digest
    more = read_code(STEP, _reader(solver="from house.other import x"))
    assert changed_modules(before.modules, more.modules) == ["house.other", "house.solver"]


def test_a_picture_that_changes_changes_nothing() -> None:
    before, after = read_code(STEP, _reader()), read_code(STEP, _reader(plots="x = 2", paint=""))
    assert before == after


def test_the_bytes_of_a_comment_differ_and_its_code_does_not() -> None:
    before = read_code(STEP, _reader())
    reader = _reader(solver="# Exact.\ndef solve(): return 1")
    after = read_code(STEP, reader)
    assert before.modules == after.modules
    assert before.source != after.source
    assert source_digest(STEP, before.modules, reader) == after.source


def test_a_module_without_its_source_is_never_known_to_be_the_same() -> None:
    found = read_code(Dependencies(("nowhere.at_all",)), _reader()).modules
    assert found == {"nowhere.at_all": NO_SOURCE}
    assert changed_modules(found, found) == ["nowhere.at_all"]


def test_a_digest_stays_the_same_between_versions() -> None:
    # printf 'a 1\nb 2\n' | sha256sum
    assert code_digest({"b": "2", "a": "1"}) == "2951835de33689a4"


def test_a_module_of_a_user_is_read_from_where_it_was_imported() -> None:
    assert read_source(__name__) is not None


def test_a_module_that_is_not_imported_yet_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alone_of_mine.py").write_text("x = 1")
    (tmp_path / "house_of_mine").mkdir()
    (tmp_path / "house_of_mine" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "house_of_mine" / "loss.py").write_text("x = 2")
    monkeypatch.syspath_prepend(tmp_path)
    assert read_source("alone_of_mine") == b"x = 1"
    assert read_source("house_of_mine.loss") == b"x = 2"


def test_a_source_that_is_no_python_counts_by_its_bytes() -> None:
    assert _hash("<<<<<<< HEAD") != _hash(">>>>>>> HEAD")


def test_reading_code_imports_no_tensorflow() -> None:
    program = (
        "import sys; from twofold.pipeline.runs.code_fingerprint import read_code;"
        "from twofold.pipeline.steps.reuse.dependencies import DEPENDENCIES;"
        "found = [read_code(one).modules for one in DEPENDENCIES.values()];"
        "assert all(found); assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
