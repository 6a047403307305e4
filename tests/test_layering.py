"""Imports point one way; the rules are those of the house, read from the imports themselves."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("components", "pipeline", "serving")


def name_of(path):
    """The name that a file of the checkout is installed under."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    installed = ".".join(("twofold", *parts)).removesuffix(".__init__")
    api = "twofold.pipeline.api"
    return "twofold" + installed.removeprefix(api) if within(installed, api) else installed


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


SOURCES = {name_of(path): path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))}

# Of each folder of components: what it may import of the others.
SIBLINGS = {
    "data": (),
    "transforms": (),
    "encoders": (),
    "losses": (),
    "methods": ("transforms", "encoders", "losses", "training.method", "training.settings"),
    "training": ("transforms.views",),
    "evaluation": ("data", "transforms", "encoders", "training"),
    "export": ("transforms", "encoders", "training.checkpoint"),
    "pages": ("data", "evaluation", "export"),
}
SHARED = tuple(
    f"twofold.components.{name}"
    for name in (
        "cluster",
        "errors",
        "files",
        "path_schemes",
        "named_objects",
        "name_lists",
        "own_code",
        "write_errors",
        "settings",
        "keyed_random",
        "distribute",
    )
)
BEAM_MODULES = tuple(
    f"twofold.components.data.preparation.{name}"
    for name in ("beam_pipeline", "engines.runners", "engines.dask_engine")
)
# A folder is one that can be held in the head; recipes are a list, one as good as the other.
MOST_MODULES = 12
LISTS = ("pipeline/recipes",)
# Of a folder of components: the registry of its settings, and the function that builds by them.
SAME_NAMES = {"settings.py", "build.py"}


def imports_of(source, package):
    """Gives the full names that a module imports, at its top or within its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*(base if node.level else ()), node.module or ""])
            names.update(f"{origin.rstrip('.')}.{alias.name}" for alias in node.names)
    return names


def package_of(module):
    return module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]


@functools.cache
def all_imports():
    """The imports of each module, read once and not where tests are only collected."""
    return {
        module: imports_of(path.read_text(encoding="utf-8"), package_of(module))
        for module, path in SOURCES.items()
    }


def modules_within(package):
    return [module for module in SOURCES if within(module, package)]


def module_of(name):
    """The module that an imported name is, or is defined in; None where it is none of ours."""
    while name and name not in SOURCES:
        name = name.rpartition(".")[0]
    return name or None


@functools.cache
def all_arrows():
    return {
        module: {module_of(name) for name in names} - {None, module}
        for module, names in all_imports().items()
    }


def reached_from(module):
    """Gives the module and all modules of the house that importing it imports."""
    reached, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += [
                other for other in SOURCES for name in all_imports()[current] if within(name, other)
            ]
    return reached


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import house.data", "house.data"),
        ("from house import data", "house.data"),
        ("from house.data.reader import read", "house.data.reader.read"),
        ("def late():\n    import keras.layers", "keras.layers"),
        ("from . import sibling", "house.methods.sibling"),
        ("from .sibling import name", "house.methods.sibling.name"),
        ("from ..data import reader", "house.data.reader"),
    ],
)
def test_every_form_of_import_is_read(statement, expected):
    assert imports_of(statement, "house.methods") == {expected}


def test_nothing_is_imported_by_the_name_that_it_has_in_the_checkout():
    for module, names in all_imports().items():
        for name in names:
            assert not within(name, *TOPS), f"{module} imports {name}"


def test_every_folder_of_components_has_a_rule():
    folders = {path.parent.name for path in (ROOT / "components").glob("*/__init__.py")}

    assert folders == set(SIBLINGS)


@pytest.mark.parametrize("folder", SIBLINGS)
def test_a_folder_of_components_imports_only_the_siblings_it_may(folder):
    allowed = [f"twofold.components.{name}" for name in (folder, *SIBLINGS[folder])]
    for module in modules_within(f"twofold.components.{folder}"):
        for name in all_imports()[module]:
            if within(name, "twofold.components"):
                assert within(name, *allowed, *SHARED), f"{module} imports {name}"


@pytest.mark.parametrize("module", SHARED)
def test_what_all_folders_share_imports_none_of_them(module):
    for name in all_imports()[module]:
        assert not within(name, "twofold") or within(name, *SHARED), f"{module} imports {name}"


def test_components_import_neither_the_pipeline_nor_serving():
    for module in modules_within("twofold.components"):
        for name in all_imports()[module]:
            if within(name, "twofold", "tests"):
                assert within(name, "twofold.components"), f"{module} imports {name}"


def test_serving_imports_nothing_but_the_exceptions_of_components():
    for module in modules_within("twofold.serving"):
        for name in all_imports()[module]:
            if within(name, "twofold", "tests"):
                allowed = ("twofold.serving", "twofold.components.errors")
                assert within(name, *allowed), f"{module} imports {name}"


def test_the_client_of_the_service_needs_no_package():
    for module in reached_from("twofold.serving.client"):
        for name in all_imports()[module]:
            top = name.partition(".")[0]
            assert top == "twofold" or top in sys.stdlib_module_names, f"{module} imports {name}"


def circle_in(arrows):
    """What is part of a circle, or above one, in a graph of names; empty where there is none."""
    left = dict(arrows)
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_module_is_part_of_a_circle():
    assert circle_in(all_arrows()) == []


def arrows_between_rooms(package):
    """Which of the rooms and modules directly in a package import which others of them."""
    depth = package.count(".") + 2
    arrows: dict[str, set[str]] = {}
    for module in modules_within(package):
        room = ".".join(module.split(".")[:depth])
        others = {".".join(name.split(".")[:depth]) for name in all_arrows()[module]}
        inside = {other for other in others if within(other, package)}
        arrows.setdefault(room, set()).update(inside - {room, package})
    arrows.pop(package, None)
    return arrows


@pytest.mark.parametrize("package", sorted({package_of(module) for module in SOURCES}))
def test_no_room_is_part_of_a_circle(package):
    assert circle_in(arrows_between_rooms(package)) == []


def test_a_folder_holds_no_more_modules_than_one_can_remember():
    for top in TOPS:
        for folder in {path.parent for path in (ROOT / top).rglob("*.py")}:
            names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
            if folder.relative_to(ROOT).as_posix() not in LISTS:
                assert len(names) <= MOST_MODULES, f"{folder} holds {len(names)}"


def test_no_two_modules_have_the_same_file_name():
    files = [path.name for path in SOURCES.values() if path.name != "__init__.py"]

    assert {name for name in files if files.count(name) > 1} <= SAME_NAMES


def test_beam_stays_where_datasets_are_prepared():
    for module in SOURCES:
        for name in all_imports()[module]:
            if within(name, "apache_beam"):
                assert module in BEAM_MODULES, f"{module} imports {name}"


@pytest.mark.parametrize("start", BEAM_MODULES)
def test_what_beam_ships_to_its_workers_holds_no_model_code(start):
    packages = ("twofold", "twofold.components")
    for module in reached_from(start):
        assert within(module, "twofold.components.data", *SHARED) or module in packages, module
        for name in all_imports()[module]:
            assert not within(name, "keras", "tensorflow.keras"), f"{module} imports {name}"


@pytest.mark.parametrize(
    "start", [module for module in SOURCES if module.rpartition(".")[2].endswith("settings")]
)
def test_settings_are_read_without_tensorflow(start):
    for module in reached_from(start):
        for name in all_imports()[module]:
            assert not within(name, "tensorflow", "keras"), f"{module} imports {name}"
