"""Environment of a run: versions, machine and revision, recorded with it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = ("tensorflow", "keras", "apache-beam", "numpy", "scikit-learn")


def run_environment() -> dict[str, Any]:
    """Returns what a run is recorded to be made with, as JSON takes it."""
    return {
        "twofold": importlib.metadata.version("twofold"),
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """Returns the revision of Twofold's own checkout, if it runs from one."""
    root, git = Path(__file__).parents[2], shutil.which("git")
    # An installed package may lie in the checkout of something else.
    if git is None or not (root / ".git").exists():
        return None
    finished = subprocess.run(
        [git, "-C", str(root), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout.strip() or None
