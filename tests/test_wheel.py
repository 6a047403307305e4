"""The wheel in an environment of its own, in a folder whose files have the names of our folders."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

SHORT = (
    *("data.images=600", "data.image_size=32", "training.epochs=1", "training.batch_size=120"),
    *("training.warmup_epochs=0", "evaluation.probe_epochs=1"),
    *("encoder.filters=[4,8]", "encoder.units=[16]"),
)


@pytest.fixture(scope="module")
def wheel():
    return Path(os.environ["TWOFOLD_WHEEL"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder where `import pipeline` and the like would find something else."""
    path = tmp_path_factory.mktemp("users own")
    for name in ("pipeline", "components", "tests"):
        (path / name).mkdir()
        (path / name / "__init__.py").write_text("raise ImportError('a folder of the user')\n")
    (path / "serving.py").write_text("raise ImportError('a module of the user')\n")
    return path


def run(folder, *command):
    """Runs a program of the wheel's environment in the folder."""
    programs = Path(os.environ["TWOFOLD_WHEEL_BIN"])
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    finished = subprocess.run(
        [programs / command[0], *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_nothing_but_twofold_comes_to_the_top_level(wheel):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"twofold"}


def test_every_module_template_and_table_of_the_checkout_is_in_the_wheel(wheel):
    root = Path(__file__).resolve().parents[1]
    expected = {
        f"twofold/{path.relative_to(root).as_posix()}".replace("twofold/pipeline/api/", "twofold/")
        for top in ("components", "pipeline", "serving")
        for kind in ("*.py", "*.html", "*.css", "*.csv", "py.typed")
        for path in (root / top).rglob(kind)
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert found == expected


def test_a_short_run_and_its_second_call(folder):
    settings = [word for setting in SHORT for word in ("--set", setting)]
    command = ("twofold", "run", "quickstart", *settings, "--workdir", "runs")
    first, second = run(folder, *command), run(folder, *command)

    assert "export: done in" in first
    assert second.count("finished before, reused") == 4
    metrics = json.loads((folder / "runs" / "quickstart" / "metrics.json").read_text())
    assert metrics["prepare/written"] == 600
    assert metrics["export/max_difference/embed"] == 0.0


def test_the_client_is_imported_where_the_user_has_a_module_called_serving(folder):
    printed = run(folder, "python", "-c", "import twofold.serving.client as c; print(c.__name__)")

    assert printed.strip() == "twofold.serving.client"


def test_the_command_is_a_module_too(folder):
    assert "quickstart" in run(folder, "python", "-m", "twofold", "recipes")


def test_all_that_is_imported_is_declared(folder):
    assert "No broken requirements" in run(folder, "python", "-m", "pip", "check")
