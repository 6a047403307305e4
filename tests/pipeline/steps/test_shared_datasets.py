"""Data sets in a place of their own, of any source, used by whole runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Outcome, save_images, short_run
from twofold.components import files
from twofold.pipeline.cli import path_arguments

Twofold = Callable[..., Outcome]


def test_a_run_uses_a_data_set_in_a_bucket(
    twofold: Twofold, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Here the commands share one process, in which it lives on.
    monkeypatch.setattr(path_arguments, "VANISHING", ())
    bucket = f"memory://{tmp_path.name}"
    arguments = short_run(two_classes, tmp_path / "work")
    ended = twofold(*arguments, "--until", "evaluate", "--datasets", bucket)
    assert ended.status == 0, ended.error
    assert f"in {bucket}/folder-" in ended.out
    assert not (tmp_path / "work" / "datasets").exists()
    again = twofold(*arguments, "--until", "evaluate", "--datasets", bucket)
    assert "prepare: finished before, reused" in again.out
    files.remove_tree(bucket)


def test_a_listing_names_images_labels_splits_and_groups(twofold: Twofold, tmp_path: Path) -> None:
    save_images(tmp_path / "pictures", 40)
    rows = ["file,kind,part,patient"]
    for number, path in enumerate(sorted((tmp_path / "pictures").iterdir())):
        kind, part = ("cat", "dog")[number % 2], ("train", "test")[number % 4 == 0]
        rows.append(f"pictures/{path.name},{kind},{part},{number // 8}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    settings = {
        "data.source": "listing",
        "data.path": tmp_path / "list.csv",
        "data.image_field": "file",
        "data.label_field": "kind",
        "data.split_field": "part",
        "data.group_field": "patient",
    }
    chosen = [part for pair in settings.items() for part in ("--set", f"{pair[0]}={pair[1]}")]
    workdir = ["--workdir", str(tmp_path / "work")]
    ended = twofold("prepare", "folder_simclr", *workdir, *chosen)
    assert ended.status == 0, ended.error
    assert "40 images (10 test, 30 train)" in ended.out
    assert "30 in training that resemble a held-out one" in ended.out
    again = twofold(
        "prepare", "folder_simclr", *workdir, *chosen, "--set", "data.full_check=true",
        "--name", "checked",
    )  # fmt: skip
    assert again.status == 0, again.error
    assert "nothing was compared for data.full_check" in again.out
    removing = twofold(
        "prepare", "folder_simclr", *workdir, *chosen, "--set", "data.on_leakage=remove",
        "--name", "clean",
    )  # fmt: skip
    assert removing.status == 0, removing.error
    assert "10 images (10 test)" in removing.out


def test_new_images_are_read_and_the_others_taken_over(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    save_images(tmp_path / "images" / "cat", 40)
    command = ["prepare", "folder_simclr", "--workdir", str(tmp_path / "work")]
    command += ["--set", f"data.path={tmp_path / 'images'}", "--set", "data.images_per_shard=4"]
    assert twofold(*command).status == 0
    (tmp_path / "images" / "cat" / "new.jpg").write_bytes(
        next(two_classes.rglob("*.jpg")).read_bytes()
    )
    ended = twofold(*command)
    assert ended.status == 0, ended.error
    assert "41 images" in ended.out
    directories = sorted(
        (tmp_path / "work" / "datasets").iterdir(), key=lambda p: p.stat().st_mtime
    )
    shards = list(directories[-1].glob("*.tfrecord"))
    assert sum(path.stat().st_nlink == 1 for path in shards) <= 2
    assert sum(path.stat().st_nlink == 2 for path in shards) >= 8
