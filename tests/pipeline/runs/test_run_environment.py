"""What is recorded of the environment of a run."""

import shutil
from pathlib import Path

import pytest

from twofold.pipeline.runs.run_environment import git_revision


def test_without_git_there_is_no_revision_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert git_revision() is None


def test_the_checkout_that_an_installed_package_lies_in_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    installed = tmp_path / ".venv" / "pipeline" / "runs" / "run_environment.py"
    monkeypatch.setattr("twofold.pipeline.runs.run_environment.__file__", str(installed))
    assert git_revision() is None
