"""Code fingerprints: hashes of the syntax trees of the modules that a result depends on.

A module counts by what it computes: comments, layout, docstrings, the texts of raised exceptions,
lines that are only printed, calls that only draw (``plot_...``, with their imports), titles of
progress bars and descriptions of settings are left out.
Nothing is imported to be read, so that no fingerprint waits for TensorFlow.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A module's name to its source; None where there is no such module.
SourceReader = Callable[[str], bytes | None]
# Stands for the hash of a module whose source is not there, such as one installed without it.
NO_SOURCE = "no source"

_PRODUCT = "twofold"
# Packages that lie in folders of their own; importing them imports nothing else.
_INSTALLED = tuple(f"{_PRODUCT}.{name}" for name in ("components", "pipeline", "serving"))
_SAYING = ("say", "print")
_DRAWING = "plot_"
_LOGGERS = ("logging", "logger", "log", "warnings")
_PROGRESS = ("progress", "progress_bar")
_DESCRIPTIONS = ("description", "title", "examples")
_IGNORED_FIELDS = ("ctx", "kind", "type_comment", "type_ignores")


@dataclass(frozen=True)
class Dependencies:
    """What a result depends on.

    Attributes:
        roots: modules that make it; what they import is followed within Twofold, and within the
            root's own top-level package.
        without: modules that are not followed; ``package.*`` is the package and all within it.

    """

    roots: tuple[str, ...]
    without: tuple[str, ...] = ()

    def leaves_out(self, module: str) -> bool:
        """Tells whether a module that is no root is not followed."""
        return any(
            _within(module, name.removesuffix(".*")) if name.endswith(".*") else module == name
            for name in self.without
        )


@dataclass(frozen=True)
class Code:
    """The code that a result depends on, as it is now.

    Attributes:
        modules: 16 hexadecimal digits of each module's syntax tree, or ``NO_SOURCE``.
        source: 16 hexadecimal digits of the very bytes of all of them, which cost little to hash.

    """

    modules: Mapping[str, str]
    source: str

    @property
    def digest(self) -> str:
        """16 hexadecimal digits for all modules together."""
        return code_digest(self.modules)


def code_digest(modules: Mapping[str, str]) -> str:
    """Returns 16 hexadecimal digits for modules with their hashes."""
    lines = "".join(f"{name} {modules[name]}\n" for name in sorted(modules))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names the modules that differ, were added or went; one without its source always differs."""
    return sorted(
        name
        for name in {*before, *now}
        if before.get(name) != now.get(name) or NO_SOURCE in (before.get(name), now.get(name))
    )


def read_source(module: str) -> bytes | None:
    """Reads a module's source from where the running program has it; None where there is none."""
    path = _source_file(module)
    return None if path is None else path.read_bytes()


def read_code(dependencies: Dependencies, read: SourceReader | None = None) -> Code:
    """Reads the code that a result depends on, following imports from the roots.

    The packages that a module lies in count, too, where there is more in them than a docstring.

    Args:
        dependencies: of the result.
        read: gives sources; the running program's where it is left out.

    """
    read = read or read_source
    tops = {root.partition(".")[0] for root in dependencies.roots} | {_PRODUCT}
    found: dict[str, str] = {}
    waiting = list(dependencies.roots)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        source = read(module)
        if source is None:
            found[module] = NO_SOURCE
            continue
        found[module], imports = _analyse(source)
        waiting += [each for each in _packages(module, dependencies) if _has_code(each, read)]
        for name in _resolve(imports, module, is_package=_is_package(module, read)):
            other = _module_of(name, read) if name.partition(".")[0] in tops else None
            if other is not None and not dependencies.leaves_out(other):
                waiting.append(other)
    return Code(found, source_digest(dependencies, found, read))


def source_digest(
    dependencies: Dependencies, modules: Iterable[str], read: SourceReader | None = None
) -> str:
    """Returns 16 hexadecimal digits of the bytes of modules, without parsing any.

    Equal digits mean equal code: which modules are reached follows from their sources.
    """
    read = read or read_source
    digest = hashlib.sha256(repr(dependencies).encode())
    # How trees are read is part of what their hashes mean.
    packages = {name for module in modules for name in _packages(module, dependencies)}
    for module in (__name__, *sorted({*modules, *packages})):
        source = read(module)
        text = NO_SOURCE.encode() if source is None else hashlib.sha256(source).digest()
        digest.update(module.encode() + b"\0" + text)
    return digest.hexdigest()[:16]


@functools.cache
def _folder(package: str) -> Path | None:
    """Gives the folder of a top-level package that the program has, or of one of Twofold's own."""
    module = sys.modules.get(package)
    if module is None and _within(package, _PRODUCT):
        module = importlib.import_module(package)
    paths = getattr(module, "__path__", None)
    if module is None:
        # Found without being imported, as a module of the top level can be.
        spec = importlib.util.find_spec(package)
        paths = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(paths))) if paths else None


def _source_file(module: str) -> Path | None:
    top = next((each for each in _INSTALLED if _within(module, each)), module.partition(".")[0])
    folder = _folder(top)
    if folder is None:
        # A module of its own beside no package, or the program's main file.
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is None and "." not in module and module not in sys.modules:
            file = getattr(importlib.util.find_spec(module), "origin", None)
        path = Path(file) if file else None
        return path if path is not None and path.suffix == ".py" and path.is_file() else None
    below = folder.joinpath(*module.split(".")[top.count(".") + 1 :])
    for path in (below / "__init__.py", below.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _is_package(module: str, read: SourceReader) -> bool:
    if read is not read_source:
        return read(f"{module}.__init__") is not None
    path = _source_file(module)
    return path is not None and path.name == "__init__.py"


def _module_of(name: str, read: SourceReader) -> str | None:
    """Gives the module that an imported name is, or is defined in."""
    while name and read(name) is None:
        name = name.rpartition(".")[0]
    return name or None


def _packages(module: str, dependencies: Dependencies) -> Iterator[str]:
    """Names the packages that a module lies in, which run before it."""
    while module := module.rpartition(".")[0]:
        if not dependencies.leaves_out(module):
            yield module


def _has_code(package: str, read: SourceReader) -> bool:
    source = read(package)
    return source is not None and _analyse(source) != _analyse(b"")


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _resolve(imports: Iterable[tuple[int, str]], module: str, *, is_package: bool) -> Iterator[str]:
    """Gives the full names of what a module imports: its dots and names to where they lead."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for level, name in imports:
        base = package[: len(package) - level + 1] if level else []
        yield ".".join([*base, name])


@functools.cache
def _analyse(source: bytes) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Gives the hash of a source's tree and what it imports, as levels and names."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        # It cannot be imported either; what it may become is another module.
        return hashlib.sha256(source).hexdigest()[:16], ()
    parts: list[str] = []
    _write(tree, parts, spoken=False)
    imports: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            imports += [(node.level, f"{prefix}{alias.name}") for alias in node.names]
    return hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16], tuple(
        dict.fromkeys(imports)
    )


def _write(value: object, parts: list[str], *, spoken: bool) -> None:
    """Writes a tree in a form that does not depend on the version of Python.

    Args:
        value: a node, a list of nodes, or what a field of a node holds.
        parts: takes the text.
        spoken: whether texts in it are for people alone.

    """
    if isinstance(value, list):
        parts.append("[")
        for each in value:
            _write(each, parts, spoken=spoken)
        parts.append("]")
        return
    if not isinstance(value, ast.AST):
        parts.append(f"{value!r},")
        return
    if spoken and _is_text(value):
        parts.append("text,")
        return
    parts.append(f"{type(value).__name__}(")
    spoken = spoken or isinstance(value, ast.Raise)
    for name in value._fields:
        field = getattr(value, name, None)
        if name in _IGNORED_FIELDS:
            continue
        if isinstance(field, list):
            field = [each for each in field if not _is_silent(each)]
        # Later versions of Python have fields that are empty in what an earlier one reads.
        if (field is None and not isinstance(value, ast.Constant)) or field == []:
            continue
        if isinstance(value, ast.Call) and name == "keywords" and _name(value.func) == "Field":
            field = [each for each in value.keywords if each.arg not in _DESCRIPTIONS]
        parts.append(f"{name}=")
        title = isinstance(value, ast.Call) and name == "args" and _name(value.func) in _PROGRESS
        _write(field, parts, spoken=spoken or title)
    parts.append(")")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_silent(statement: object) -> bool:
    """Tells whether a statement changes no result: a docstring, a printed line, a drawing."""
    if isinstance(statement, ast.ImportFrom):
        return all(alias.name.startswith(_DRAWING) for alias in statement.names)
    if not isinstance(statement, ast.Expr):
        return False
    called = statement.value
    if not isinstance(called, ast.Call):
        return _is_text(called)
    if _name(called.func) in _SAYING or _name(called.func).startswith(_DRAWING):
        return True
    function = called.func
    return isinstance(function, ast.Attribute) and (
        _name(function.value).strip("_").lower() in _LOGGERS
    )


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
