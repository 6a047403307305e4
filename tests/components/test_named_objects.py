"""Objects that a setting names as module:name."""

import sys
from pathlib import Path

import pytest

from twofold.components.errors import SettingsError
from twofold.components.named_objects import check_name, import_named


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that Python does not search by itself, as for an installed command."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != ""])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_of_the_working_directory_is_found(here: Path) -> None:
    (here / "tf_named_here.py").write_text("import tf_beside\nclass A:\n    b = tf_beside.C\n")
    (here / "tf_beside.py").write_text("C = 3\n")
    assert import_named("tf_named_here:A.b", "key") == 3
    assert sys.path[-1] == str(here), "after all else, so that it hides nothing"


def test_a_file_of_the_working_directory_hides_no_installed_module(here: Path) -> None:
    (here / "colorsys.py").write_text("raise AssertionError\n")
    assert callable(import_named("colorsys:rgb_to_hsv", "key"))


@pytest.mark.parametrize(
    "name", ["", "a", "a:", ":b", "a b:c", "a/b.py:c", "a:b:c", "1a:b", "a..b:c"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected module:name"):
        check_name(name)


def test_a_module_that_is_not_there_is_named_with_the_directory(here: Path) -> None:
    with pytest.raises(SettingsError) as error:
        import_named("tf_nowhere.inner:A", "training.callbacks")
    assert str(error.value) == (
        "training.callbacks: there is no module tf_nowhere.inner: expected one that is installed, "
        f"or a file in the working directory {here}"
    )


def test_what_a_module_lacks_is_named_with_its_file(here: Path) -> None:
    (here / "tf_lacking.py").write_text("")
    with pytest.raises(SettingsError, match=r"tf_lacking \(.*/tf_lacking\.py\) has no A:"):
        import_named("tf_lacking:A", "key")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("import tf_missing", r"importing \w+ failed: No module named 'tf_missing'"),
        ("1 / 0", r"importing \w+ failed: ZeroDivisionError: division by zero"),
        ("def", r"importing \w+ failed: SyntaxError: "),
    ],
)
def test_a_module_that_fails_is_named_with_its_error(here: Path, content: str, error: str) -> None:
    module = f"tf_failing_{abs(hash(content))}"
    (here / f"{module}.py").write_text(content)
    with pytest.raises(SettingsError, match=error):
        import_named(f"{module}:A", "key")
