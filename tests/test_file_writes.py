"""Files are written by components/files.py alone, so that none is ever seen half written."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = "components/files.py"

SCRATCH = "a temporary directory of one process, or a message from one process to another"
# Calls that write to a path directly, by module: how many there are, and why they may.
EXCEPTIONS = {
    "components/data/reading/decoded_cache.py": (1, "within new_directory"),
    "components/export/convert/convert_litert.py": (1, SCRATCH),
    "components/export/convert/convert_process.py": (4, SCRATCH),
    "components/export/proof/proof.py": (2, SCRATCH),
    "components/export/proof/proof_c_api.py": (1, SCRATCH),
    "components/export/proof/proof_loader.py": (1, SCRATCH),
    "components/export/proof/smoke_test.py": (1, SCRATCH),
    "components/export/registry/serving_root.py": (2, "a lock, and a copy within new_directory"),
    "pipeline/rehearsal/measure_steps.py": (1, "what the kernel counts anew from"),
    "pipeline/runs/run_directory.py": (2, "a lock, and what is whole is moved aside"),
}

METHODS = ("write_text", "write_bytes", "savefig", "tofile", "fsync")
FUNCTIONS = {
    "np": ("save", "savez", "savez_compressed", "savetxt"),
    "json": ("dump",),
    "os": ("replace", "rename", "link", "fsync"),
    "shutil": ("copy", "copy2", "copyfile", "copytree", "move"),
    "pq": ("write_table",),
}


def streams_of(tree):
    """The names of open files in memory or from files.new_file, and of paths for libraries."""
    names = set()
    for node in ast.walk(tree):
        call, target = None, None
        if isinstance(node, ast.withitem):
            call, target = node.context_expr, node.optional_vars
        elif isinstance(node, ast.Assign):
            # rendered, encoded = BytesIO(), BytesIO()
            call, target = node.value, node.targets[0]
        pairs: list[tuple[ast.expr | None, ast.expr | None]]
        if isinstance(call, ast.Tuple) and isinstance(target, ast.Tuple):
            pairs = list(zip(call.elts, target.elts, strict=False))
        else:
            pairs = [(call, target)]
        for made, name in pairs:
            if isinstance(made, ast.Call) and isinstance(name, ast.Name):
                function = ast.unparse(made.func).rpartition(".")[2]
                if function in ("new_file", "new_file_path", "BytesIO"):
                    names.add(name.id)
    return names


def writes_a_path(call, streams):
    """Whether a call writes to a path by itself."""
    if isinstance(call.func, ast.Name):
        return call.func.id == "open" and any(_mode(call, 1))
    if not isinstance(call.func, ast.Attribute):
        return False
    base, name = ast.unparse(call.func.value), call.func.attr
    if base == "files" or (call.args and ast.unparse(call.args[0]) in streams):
        return False
    if base in FUNCTIONS and name in FUNCTIONS[base]:
        return True
    if name in ("open", "open_memmap"):
        return any(_mode(call, 0 if name == "open" else 1))
    if name in ("replace", "rename"):
        # A text's method of that name takes two arguments, `dataclasses.replace` keywords.
        return len(call.args) == 1 and not call.keywords
    return name in METHODS


def _mode(call, position):
    """The letters of the mode that a file is opened with which say that it is written."""
    given = [word.value for word in call.keywords if word.arg == "mode"] + call.args[position:]
    modes = [one.value for one in given[:1] if isinstance(one, ast.Constant)]
    return [letter for mode in modes if isinstance(mode, str) for letter in mode if letter in "wxa"]


def writes_in(source):
    tree = ast.parse(source)
    streams = streams_of(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if writes_a_path(call, streams)]


@pytest.mark.parametrize(
    "statement",
    [
        "path.write_text('x')",
        "path.write_bytes(b'x')",
        "path.open('w')",
        "open(path, 'ab')",
        "np.save(path, array)",
        "np.savez(path / 'a.npz', a=array)",
        "figure.savefig(path)",
        "temporary.replace(path)",
        "temporary.rename(path)",
        "os.replace(a, b)",
        "json.dump(content, file)",
        "shutil.copytree(a, b)",
    ],
)
def test_a_direct_write_is_recognised(statement):
    assert writes_in(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "files.write_text(path, 'x')",
        "path.open('rb')",
        "open(path)",
        "name.replace('_', ' ')",
        "dataclasses.replace(settings, seed=1)",
        "with files.new_file(path) as file:\n    np.save(file, array)",
        "file = io.BytesIO()\nfigure.savefig(file)",
        "with files.new_file_path(path) as part:\n    np.lib.format.open_memmap(part, mode='w+')",
    ],
)
def test_what_writes_no_path_or_goes_through_files_is_let_pass(statement):
    assert not writes_in(statement)


def test_the_product_writes_files_in_one_place():
    found = {}
    for top in ("components", "pipeline", "serving"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            lines = writes_in(path.read_text(encoding="utf-8"))
            if lines and name != FILES:
                found[name] = lines
    for name, lines in found.items():
        allowed, _ = EXCEPTIONS.get(name, (0, ""))
        assert len(lines) <= allowed, f"{name}, lines {lines}: write through {FILES}"
    assert set(EXCEPTIONS) <= set(found)
