"""What is written for TensorBoard is there when it is read back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.components.training.tensorboard.event_files import read, steps
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.training.training_curves import read_scalars

VALUES = {"loss": 2.0, "online_probe/accuracy": 0.5, "learning_rate": 0.1}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "views.png"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)
    return path


def test_curves_are_in_groups_over_steps_and_over_images(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path / "run")
    writer.scalars(3, VALUES, images=24)
    writer.close()

    assert steps(tmp_path / "run") == {
        "loss/total": [3],
        "probe/training/accuracy": [3],
        "rate/learning_rate": [3],
        "versus_images/loss/total": [24],
        "versus_images/probe/training/accuracy": [24],
    }
    accumulator = read(tmp_path / "run")
    for tag in accumulator.Tags()["tensors"]:
        assert accumulator.SummaryMetadata(tag).summary_description


def test_curves_are_read_back_by_the_names_of_their_metrics(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    for step in (3, 6):
        writer.scalars(step, VALUES, images=8 * step)
    writer.close()

    curves = read_scalars(tmp_path)
    assert curves.keys() == VALUES.keys()
    assert curves["loss"][0].tolist() == [3, 6]


def test_a_picture_is_there_while_the_training_goes_on(tmp_path: Path, picture: Path) -> None:
    for writer in (TensorBoardWriter(tmp_path / "run", part="views"),):
        writer.image(0, "views", picture)
        writer.close()
    training = TensorBoardWriter(tmp_path / "run")
    training.scalars(1, VALUES)

    accumulator = read(tmp_path / "run")
    assert {"views", "loss/total"} <= {*accumulator.Tags()["tensors"]}
    width, height, png = accumulator.Tensors("views")[0].tensor_proto.string_val
    assert (width, height, png[:4]) == (b"6", b"4", b"\x89PNG")
    training.close()


def test_what_is_written_anew_replaces_itself_and_nothing_else(
    tmp_path: Path, picture: Path
) -> None:
    for attempt in range(2):
        for name in ("views", "dictionary"):
            part = TensorBoardWriter(tmp_path / "run", part=name)
            part.image(0, name, picture)
            part.close()
        training = TensorBoardWriter(tmp_path / "run")
        training.scalars(attempt + 1, VALUES)
        training.close()

    found = steps(tmp_path / "run")
    assert found["views"] == found["dictionary"] == [0]
    assert found["loss/total"] == [1, 2]


def test_a_writer_that_was_killed_leaves_what_it_would_have_replaced(
    tmp_path: Path, picture: Path
) -> None:
    whole = TensorBoardWriter(tmp_path / "run", part="views")
    whole.image(0, "views", picture)
    whole.close()
    TensorBoardWriter(tmp_path / "run", part="views")

    assert steps(tmp_path / "run")["views"] == [0]
