"""Folders as people have them go the whole way: to measures where there are labels, to a model."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import forked
from tests.pipeline.conftest import Outcome, save_images, short_run

Twofold = Callable[..., Outcome]


def _metrics(workdir: Path) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((workdir / "folder_simclr/metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole run on images with and without labels, some damaged, under names with é and blanks.

    Gives its working directory and what it printed.
    """
    base = tmp_path_factory.mktemp("base")
    images, workdir = base / "mes images (été)", base / "répertoire de travail"
    for name, count in (("train/chat noir", 12), ("train/日本", 12), ("unlabelled", 12)):
        save_images(images / name, count)
    save_images(images / "test/chat noir", 4)
    save_images(images / "test/日本", 4)
    (images / "unlabelled" / "zéro.png").touch()
    arguments = short_run(images, workdir, "data.max_reject_share=0.1")
    finished = forked.run([sys.executable, "-m", "twofold", *arguments], timeout=240)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return workdir, finished.stdout


def test_names_with_blanks_and_accents_go_the_whole_way(odd: tuple[Path, str]) -> None:
    workdir, printed = odd
    assert str(workdir / "folder_simclr") in printed
    assert (workdir / "folder_simclr" / "saved_model" / "1" / "saved_model.pb").is_file()
    described = workdir / "folder_simclr" / "saved_model" / "1" / "assets.extra" / "twofold.json"
    assert json.loads(described.read_text())["class_names"] == ["chat noir", "日本"]


def test_rejects_are_told_with_the_place_that_lists_them(odd: tuple[Path, str]) -> None:
    _, printed = odd
    assert "1 of 45 images were rejected (1 empty file)" in printed
    listed = next(line for line in printed.splitlines() if "rejected" in line).split("see ")[1]
    assert "unlabelled/zéro.png" in json.loads(Path(listed).read_text(encoding="utf-8"))["key"]


def test_images_without_labels_are_trained_on_and_not_measured_by_class(
    odd: tuple[Path, str],
) -> None:
    workdir, _ = odd
    record = json.loads((workdir / "folder_simclr" / "run.json").read_text())
    assert record["steps"]["evaluate"]["details"]["images"] == {"train": 36, "test": 8}
    assert 0 <= _metrics(workdir)["linear_probe/test_accuracy"] <= 1


def test_a_folder_of_unlabelled_images_beside_classes_is_trained_on_and_is_no_class(
    twofold: Twofold, tmp_path: Path
) -> None:
    for name, count in (("cat", 12), ("dog", 12), ("unlabelled", 16)):
        save_images(tmp_path / "photos" / name, count)
    arguments = short_run(tmp_path / "photos", tmp_path / "work")
    ended = twofold(*arguments, "--until", "prepare")
    assert ended.status == 0, ended.error
    line = "folders read as class: classes cat, dog; images without a label in unlabelled/\n"
    assert line in ended.out
    assert "16 unlabelled" in ended.out


def test_a_class_of_which_no_image_is_accepted_is_told(twofold: Twofold, tmp_path: Path) -> None:
    save_images(tmp_path / "photos" / "cat", 12)
    (tmp_path / "photos" / "dog").mkdir()
    for number in range(3):
        (tmp_path / "photos" / "dog" / f"{number}.heic").write_bytes(b"no image")
    (tmp_path / "photos" / "notes.txt").write_text("none either")
    arguments = short_run(tmp_path / "photos", tmp_path / "work", "data.max_reject_share=0.5")
    ended = twofold(*arguments, "--until", "prepare")
    assert ended.status == 0, ended.error
    assert "3 of 15 images were rejected (3 wrong format)" in ended.out
    assert "no image is left of class dog\n" in ended.out
    assert "skipped 1 file that is no image: 1 .txt\n" in ended.out
    (described,) = (tmp_path / "work").glob("datasets/*/manifest.json")
    assert json.loads(described.read_text())["source"]["skipped"] == {".txt": 1}


def test_folders_that_need_a_choice_are_refused_in_one_line(
    twofold: Twofold, tmp_path: Path
) -> None:
    for name in ("cat", "train/dog"):
        save_images(tmp_path / "photos" / name, 2)
    ended = twofold(*short_run(tmp_path / "photos", tmp_path / "work"))
    assert ended.status != 0
    assert "train/ would be a split and cat/ would not" in ended.error
    assert "data.first_folders=classes" in ended.error


@pytest.mark.usefixtures("proved_here")
def test_images_without_any_label_give_a_model_without_a_head(
    twofold: Twofold, tmp_path: Path
) -> None:
    save_images(tmp_path / "flat", 40)
    ended = twofold(*short_run(tmp_path / "flat", tmp_path / "work"))
    assert ended.status == 0, ended.error
    metrics = _metrics(tmp_path / "work")
    assert not [name for name in metrics if "probe" in name or "knn" in name]
    assert np.isfinite(metrics["embedding/effective_rank"])
    version = tmp_path / "work" / "folder_simclr" / "saved_model" / "1"
    described = json.loads((version / "assets.extra" / "twofold.json").read_text())
    assert described["class_names"] == []
    outputs = tf.saved_model.load(str(version)).signatures["serving_default"].structured_outputs
    assert set(outputs) == {"embedding"}


def test_images_of_one_class_are_not_measured_by_class(twofold: Twofold, tmp_path: Path) -> None:
    save_images(tmp_path / "images" / "cat", 40)
    arguments = short_run(tmp_path / "images", tmp_path / "work")
    ended = twofold(*arguments, "--until", "evaluate")
    assert ended.status == 0, ended.error
    metrics = _metrics(tmp_path / "work")
    assert not [name for name in metrics if "probe" in name or "knn" in name]
    assert np.isfinite(metrics["pretrain/loss"])


def test_loose_images_beside_class_folders_are_no_trouble(twofold: Twofold, tmp_path: Path) -> None:
    for name in ("cat", "dog", "."):
        save_images(tmp_path / "images" / name, 16)
    arguments = short_run(tmp_path / "images", tmp_path / "work")
    ended = twofold(*arguments, "--until", "evaluate")
    assert ended.status == 0, ended.error
    assert (tmp_path / "work" / "folder_simclr" / "figures" / "rsm.png").is_file()
    assert 0 <= _metrics(tmp_path / "work")["linear_probe/test_accuracy"] <= 1


def test_latents_without_labels_give_a_picture_and_no_accuracy(
    twofold: Twofold, tmp_path: Path
) -> None:
    path = tmp_path / "été 1.npz"
    draw = np.random.default_rng(0)
    np.savez(
        path, images=draw.integers(0, 256, (40, 16, 16), np.uint8), latents=draw.random((40, 2))
    )
    arguments = short_run(path, tmp_path / "work", "data.source=npz")
    ended = twofold(*arguments, "--until", "evaluate")
    assert ended.status == 0, ended.error
    assert (tmp_path / "work" / "folder_simclr" / "figures" / "rsm.png").is_file()
    assert not [name for name in _metrics(tmp_path / "work") if "probe" in name or "knn" in name]


def test_a_step_done_again_makes_those_after_it_be_done_again(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    arguments = short_run(two_classes, tmp_path, "training.epochs=2")
    assert twofold(*arguments, "--until", "evaluate").status == 0
    changed = [*short_run(two_classes, tmp_path), "--update", "--until"]
    again = twofold(*changed, "pretrain")
    assert again.status == 0, again.error
    steps = json.loads((tmp_path / "folder_simclr" / "run.json").read_text())["steps"]
    assert list(steps) == ["prepare", "pretrain"]
    assert not [name for name in _metrics(tmp_path) if name.startswith("linear_probe")]
    refused = twofold("export", *changed[1:-2])
    assert refused.status == 1
    assert "needs step evaluate" in refused.error
