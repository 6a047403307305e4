"""`twofold views` draws what a policy does, or says why it cannot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.conftest import Outcome, save_images
from twofold.components.transforms.settings import VIEWS

Twofold = Callable[..., Outcome]


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    save_images(tmp_path / "photographs" / "cat", 5)
    (tmp_path / "photographs" / "cat" / "damaged.jpg").write_bytes(b"no image")
    return tmp_path / "photographs"


@pytest.mark.parametrize("policy", ["none", "affine", "nnclr_weak", "consistency"])
def test_a_policy_is_drawn_on_images_of_a_folder(
    policy: str, twofold: Twofold, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "views.png"
    ended = twofold("views", policy, "--images", str(photographs), "--out", str(out), "--each=1")
    assert (ended.status, ended.error) == (0, "")
    assert ended.out == f"5 images with 1 views each in {out}\n", "the damaged one is passed over"
    assert min(_size(out)) > 100


@pytest.mark.parametrize("policy", ["resized_window", "randaugment_tf_models", "patches"])
@pytest.mark.parametrize("arguments", [(), ("--set", "side=32", "--size=40")])
def test_views_may_have_a_size_of_their_own(
    policy: str, arguments: tuple[str, ...], twofold: Twofold, tmp_path: Path
) -> None:
    out = tmp_path / "views.png"
    ended = twofold("views", policy, "--out", str(out), "--count=1", "--each=1", *arguments)
    assert (ended.status, ended.error) == (0, "")
    assert min(_size(out)) > 100


def test_without_images_sprites_are_drawn(twofold: Twofold, tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    for out, count in ((small, "2"), (large, "9")):
        ended = twofold("views", "affine", "--out", str(out), "--count", count, "--each", "1")
        assert ended.status == 0, ended
    assert _size(large)[0] > _size(small)[0]


def test_one_file_or_an_array_will_do(twofold: Twofold, photographs: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 9, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    out = tmp_path / "views.png"
    for images, drawn in ((photographs / "cat" / "000.jpg", 1), (tmp_path / "images.npz", 3)):
        arguments = ("--images", str(images), "--out", str(out), "--count=3", "--size=20")
        ended = twofold("views", "none", *arguments)
        assert ended.status == 0, ended
        assert f"{drawn} images with 4 views each" in ended.out


def test_a_setting_of_the_policy_changes_the_picture(twofold: Twofold, tmp_path: Path) -> None:
    pictures = []
    for setting in ("scale=[1.0, 1.0]", "scale=[0.3, 0.3]"):
        out = tmp_path / "views.png"
        assert twofold("views", "affine", "--out", str(out), "--set", setting).status == 0
        pictures.append(out.read_bytes())
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["blurry"], ["error: POLICY blurry: unknown views.policy 'blurry'", *VIEWS]),
        (
            ["affine", "--set", "scalee=[1, 1]"],
            ["error: --set scalee=[1, 1]: ", "views.scalee", "did you mean 'scale'?"],
        ),
        (["affine", "--set", "translation=2"], ["views.translation", "less than or equal to 1"]),
        (["none", "--images", "nowhere.zip"], ["no such file or folder", "nowhere.zip"]),
        (["none", "--images", "nowhere.png"], ["nowhere.png", "No such file"]),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(
    arguments: list[str], words: list[str], twofold: Twofold, tmp_path: Path
) -> None:
    out = tmp_path / "views.png"
    ended = twofold("views", *arguments, "--out", str(out))
    assert ended.status == (1 if "--images" in arguments else 2)
    assert len(ended.error.splitlines()) == 1
    for word in words:
        assert word in ended.error
    assert not out.exists()


def test_a_folder_of_damaged_images_is_refused(twofold: Twofold, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "damaged.jpg").write_bytes(b"no image")
    ended = twofold("views", "none", "--images", str(folder), "--out", str(tmp_path / "a.png"))
    assert ended.status == 1
    assert "none of the images looked at could be read" in ended.error
