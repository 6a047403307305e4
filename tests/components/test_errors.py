"""Every exception class of the product is in the one tree that its docstring draws."""

import ast
import builtins
import importlib
import re
from pathlib import Path

import pytest

from twofold.components import errors
from twofold.components.errors import SettingsError, TwofoldError
from twofold.pipeline.config import parse_config

ROOT = Path(__file__).resolve().parents[2]
# Raised and caught within one folder, each with why it is not for a user.
PRIVATE = {
    "ChangedError": "components/data",  # becomes the DataError of the archive that changed
    "DamagedRecordError": "components/data",  # becomes an image's problem, or a DataError
    "RejectedError": "components/data",  # becomes a line of the rejects file
    "TensorFlowError": "components/export/proof",  # that process knows nothing of Twofold
    "_HaltedError": "components/training",  # becomes a rollback, or an AlarmError
    "_TwiceError": "pipeline/config",  # becomes the ConfigError of the file or of --set
    "WrongAnswerError": "components/export/proof",  # that process knows nothing of Twofold
}


def _defined_classes() -> dict[str, tuple[str, list[str]]]:
    """File and bases of every class of the product, by its name."""
    found = {}
    for top in ("components", "pipeline", "serving"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    found[node.name] = (path.relative_to(ROOT).as_posix(), bases)
    return found


def _is_exception(name: str, classes: dict[str, tuple[str, list[str]]]) -> bool:
    if name in classes:
        # A class may have the name of another library's that it derives from.
        others = {other: known for other, known in classes.items() if other != name}
        return any(_is_exception(base, others) for base in classes[name][1])
    known = getattr(builtins, name, None)
    # What is told to end a program, as KeyboardInterrupt is, is no error.
    return isinstance(known, type) and issubclass(known, Exception)


def _drawn() -> dict[str, tuple[str | None, str | None]]:
    """Parent and built-in base of every class in the docstring's tree, by its name."""
    drawn: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in str(errors.__doc__).splitlines():
        matched = re.match(r"((?:    )+)(\w+Error)\b(?: \((\w+)\))?", line)
        if matched:
            depth = len(matched[1]) // 4 - 1
            above = [*above[:depth], matched[2]]
            drawn[matched[2]] = (above[depth - 1] if depth else None, matched[3])
    return drawn


def _real(root: type[TwofoldError]) -> dict[str, tuple[str | None, str | None]]:
    real: dict[str, tuple[str | None, str | None]] = {}
    for one in root.__subclasses__():
        # Others may be a test's own; a class is drawn below the first of its bases.
        if one.__module__.startswith("twofold.") and one.__bases__[0] is root:
            other = [base.__name__ for base in one.__bases__ if base is not root]
            real[one.__name__] = (root.__name__, other[0] if other else None)
            real |= _real(one)
    return real


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    classes = _defined_classes()
    for file, _ in (classes[name] for name in _drawn()):
        importlib.import_module(f"twofold.{file.removesuffix('.py').replace('/', '.')}")

    assert _drawn() == {"TwofoldError": (None, None)} | _real(TwofoldError)


def test_every_exception_is_in_the_tree_or_stays_within_its_folder() -> None:
    classes = _defined_classes()
    found = {name for name in classes if _is_exception(name, classes)}

    assert found == set(_drawn()) | set(PRIVATE)
    for name, folder in PRIVATE.items():
        assert classes[name][0].startswith(f"{folder}/")


def test_the_module_imports_nothing() -> None:
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(Path(str(errors.__file__)).read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported == {"__future__"}


def test_one_except_clause_catches_what_a_wrong_setting_raises() -> None:
    with pytest.raises(TwofoldError, match="unknown key sead: did you mean 'seed'") as caught:
        parse_config({"sead": 3}, "my.yaml")

    assert isinstance(caught.value, SettingsError | ValueError)
