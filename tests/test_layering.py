"""Imports point one way; the rules are those of the house, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for top in ("components", "pipeline", "serving")
    for path in sorted((ROOT / top).rglob("*.py"))
}

# Of each folder of components: what it may import of the others.
SIBLINGS = {
    "data": (),
    "transforms": (),
    "encoders": (),
    "losses": (),
    "methods": ("transforms", "encoders", "losses"),
    "training": ("methods.base",),
    "evaluation": ("data", "transforms", "encoders", "training"),
    "export": ("transforms", "encoders", "training.checkpoint"),
}
SHARED = ("components.keyed_random", "components.distribute")
BEAM_MODULES = ("components.data.beam", "components.data.engines")


def imports_of(source, package):
    """Gives the full names that a module imports, at its top or within its functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*base, node.module or ""] if node.level else [node.module])
            names.update(f"{origin.rstrip('.')}.{alias.name}" for alias in node.names)
    return names


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def package_of(module):
    return module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]


IMPORTS = {
    module: imports_of(path.read_text(encoding="utf-8"), package_of(module))
    for module, path in SOURCES.items()
}


def modules_within(package):
    return [module for module in SOURCES if within(module, package)]


def reached_from(module):
    """Gives the module and all modules of the house that importing it imports."""
    reached, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += [
                other for other in SOURCES for name in IMPORTS[current] if within(name, other)
            ]
    return reached


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import components.data", "components.data"),
        ("from components import data", "components.data"),
        ("from components.data.reader import read", "components.data.reader.read"),
        ("def late():\n    import keras.layers", "keras.layers"),
        ("from . import sibling", "components.methods.sibling"),
        ("from .sibling import name", "components.methods.sibling.name"),
        ("from ..data import reader", "components.data.reader"),
    ],
)
def test_every_form_of_import_is_read(statement, expected):
    assert imports_of(statement, "components.methods") == {expected}


def test_every_folder_of_components_has_a_rule():
    folders = {path.parent.name for path in (ROOT / "components").glob("*/__init__.py")}

    assert folders == set(SIBLINGS)


@pytest.mark.parametrize("folder", SIBLINGS)
def test_a_folder_of_components_imports_only_the_siblings_it_may(folder):
    allowed = [f"components.{name}" for name in (folder, *SIBLINGS[folder])]
    for module in modules_within(f"components.{folder}"):
        for name in IMPORTS[module]:
            if within(name, "components"):
                assert within(name, *allowed, *SHARED), f"{module} imports {name}"


@pytest.mark.parametrize("module", SHARED)
def test_what_all_folders_share_imports_none_of_them(module):
    for name in IMPORTS[module]:
        assert not within(name, "components") or within(name, *SHARED), f"{module} imports {name}"


def test_components_import_neither_the_pipeline_nor_serving():
    for module in modules_within("components"):
        for name in IMPORTS[module]:
            assert not within(name, "pipeline", "serving", "tests"), f"{module} imports {name}"


def test_serving_imports_neither_the_pipeline_nor_components():
    for module in modules_within("serving"):
        for name in IMPORTS[module]:
            assert not within(name, "pipeline", "components", "tests"), f"{module} imports {name}"


def test_beam_stays_where_datasets_are_prepared():
    for module in SOURCES:
        for name in IMPORTS[module]:
            if within(name, "apache_beam"):
                assert module in BEAM_MODULES, f"{module} imports {name}"


@pytest.mark.parametrize("start", BEAM_MODULES)
def test_what_beam_ships_to_its_workers_holds_no_model_code(start):
    for module in reached_from(start):
        assert within(module, "components.data", *SHARED) or module == "components", module
        for name in IMPORTS[module]:
            assert not within(name, "keras", "tensorflow.keras"), f"{module} imports {name}"
