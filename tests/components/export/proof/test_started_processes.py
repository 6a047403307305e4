"""Processes that the product starts import nothing from the folder they are started in."""

import re
from pathlib import Path

import numpy as np
import pytest

from twofold.components.errors import ConversionError
from twofold.components.export.child_environment import child_environment
from twofold.components.export.convert import convert_process
from twofold.components.export.proof.smoke_test import run_smoke_test

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", ["twofold.py", "json.py", "numpy.py"])
def test_a_conversion_imports_no_module_of_the_current_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("raise SystemExit('a module of the user')\n")
    monkeypatch.chdir(tmp_path)
    # What it is asked to run has no such function, which the process comes to say.
    with pytest.raises(ConversionError, match="AttributeError: module 'math' has no attribute"):
        convert_process.answer("math", tmp_path, "model", np.zeros((1, 4, 4, 3), np.uint8))


def test_the_smoke_test_imports_no_module_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$1 $2" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    (problem,) = run_smoke_test(tmp_path).problems
    assert problem.endswith(": -P -m")


def test_every_python_process_is_started_without_the_current_folder_on_its_path() -> None:
    started = [
        (path.name, option)
        for folder in ("components", "pipeline", "serving")
        for path in (ROOT / folder).rglob("*.py")
        for option in re.findall(r"sys\.executable,\s*(\S+),", path.read_text(encoding="utf-8"))
    ]
    assert len(started) >= 3
    assert {option for _, option in started} <= {'"-P"', '"-I"'}, started


def test_processes_that_prove_and_convert_leave_the_gpus_to_training() -> None:
    folder = ROOT / "components/export"
    started = [
        path.read_text(encoding="utf-8")
        for path in folder.rglob("*.py")
        if "subprocess.run(" in path.read_text(encoding="utf-8")
    ]
    assert len(started) == 3
    assert all("child_environment()" in text for text in started)
    assert child_environment()["CUDA_VISIBLE_DEVICES"] == "-1"
