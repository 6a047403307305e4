"""What the projector reads."""

from pathlib import Path

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from twofold.components.training.tensorboard.projector_files import write_projector_files


def test_each_image_has_its_row_its_thumbnail_and_what_is_known_of_it(tmp_path: Path) -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 4, 1), np.uint8)
    columns = {"image": ["a\tb", "c", "d", "e", "f"], "class": ["x", "y", "x", "y", "none"]}
    write_projector_files(tmp_path, "test", np.eye(5, 3), columns, images)

    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    assert list(embedding.tensor_shape) == [5, 3]
    rows = np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t")
    np.testing.assert_array_equal(rows, np.eye(5, 3))
    lines = (tmp_path / embedding.metadata_path).read_text().splitlines()
    assert lines[:2] == ["image\tclass", "a b\tx"]
    assert len(lines) == 6
    with Image.open(tmp_path / embedding.sprite.image_path) as sprite:
        width, height = embedding.sprite.single_image_dim
        assert (width, height) == (4, 8)
        assert sprite.size == (3 * width, 3 * height)
        # The fifth is the second of the second row.
        assert sprite.getpixel((width, height)) == (4, 4, 4)


def test_one_column_alone_is_numbered_since_it_would_have_no_title(tmp_path: Path) -> None:
    write_projector_files(
        tmp_path, "test", np.eye(2), {"image": ["a", "b"]}, np.zeros((2, 4, 4, 3), np.uint8)
    )
    assert (tmp_path / "test_images.tsv").read_text() == "image\trow\na\t0\nb\t1\n"
