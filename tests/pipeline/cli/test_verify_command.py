import io

import pytest
from rich.console import Console

from tests.components.data.handmade import entries, write_dataset
from twofold.components.errors import DataError
from twofold.pipeline.cli.verify_command import verify


@pytest.fixture
def dataset(tmp_path):
    write_dataset(tmp_path / "dataset", entries())
    return tmp_path / "dataset"


def run(dataset, **options):
    """The exit status and what is printed."""
    out, errors = io.StringIO(), io.StringIO()
    console, error_console = Console(file=out, soft_wrap=True), Console(file=errors)
    status = verify(dataset, out=console, errors=error_console, **options)
    assert errors.getvalue() == ""
    return status, out.getvalue().splitlines()


@pytest.mark.parametrize("decode", [True, False])
def test_an_intact_dataset_is_called_so(dataset, decode):
    # Four shards, the table, three files for TensorFlow Datasets, and the manifest.
    assert run(dataset, decode=decode) == (0, ["24 images in 9 files: intact"])
    assert run(str(dataset), decode=decode)[0] == 0


def test_each_finding_is_a_line_that_begins_with_its_file(dataset):
    (dataset / "[bold]notes.txt").write_text("mine")
    (dataset / "test-00000-of-00002.tfrecord").unlink()

    status, lines = run(dataset)

    assert status == 1
    assert lines == [
        "test-00000-of-00002.tfrecord: the manifest lists this file, and it is missing",
        "[bold]notes.txt: the manifest does not list this file",
        "2 problems in 2 files: not intact",
    ]


def test_a_folder_that_is_no_dataset_is_not_intact(tmp_path):
    status, lines = run(tmp_path)

    assert status == 1
    assert lines[-1] == "1 problem in 1 file: not intact"


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such dataset folder"):
        run(tmp_path / "nowhere")


def test_images_done_are_shown_on_a_terminal(dataset):
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=120)

    verify(dataset, out=Console(file=io.StringIO()), errors=terminal)

    assert "24/24" in shown.getvalue()
