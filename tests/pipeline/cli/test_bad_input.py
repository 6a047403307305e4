"""Bad input ends with one line that names what is at fault, and leaves no half work.

The exit status is 2 for a wrong command, setting or file of settings, 1 for other input.

What needs a training run to show is in test_odd_folders.py.
"""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.pipeline.conftest import Outcome, save_images, short_run
from twofold.pipeline.recipes import recipe_names

Twofold = Callable[..., Outcome]


@pytest.fixture
def refuses(twofold: Twofold) -> Callable[..., None]:
    """Holds a command to its exit status and one line that has all of the words."""

    def check(arguments: list[str], *words: object, status: int = 1) -> None:
        ended = twofold(*arguments)
        assert ended.status == status, ended
        assert ended.error.startswith("error: ")
        assert len(ended.error.splitlines()) == 1
        for word in words:
            assert str(word) in ended.error

    return check


Refuses = Callable[..., None]


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "é work dir"


def _is_without_half_work(workdir: Path) -> bool:
    """Tells whether there is no data set and nothing under a temporary name."""
    left = [path.name for path in workdir.rglob("*")]
    return not any("tmp" in name or name.startswith("folder-") for name in left)


def test_no_such_path(refuses: Refuses, workdir: Path) -> None:
    missing = workdir.parent / "no such é"
    refuses(short_run(missing, workdir), "no such file or folder", missing)
    assert not workdir.exists()


def test_an_empty_folder(refuses: Refuses, workdir: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refuses(short_run(empty, workdir), empty, "no images", "JPEG, PNG, WebP")
    assert not workdir.exists()


def test_a_file_that_is_no_archive(refuses: Refuses, workdir: Path, tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_text("hello")
    refuses(short_run(tmp_path / "images.zip", workdir), "images.zip", ".zip or a .tar")
    assert not workdir.exists()


def _with_three_bad_files(folder: Path) -> Path:
    save_images(folder / "cat", 20)
    save_images(folder / "dog", 20)
    whole = (folder / "cat" / "000.jpg").read_bytes()
    (folder / "cat" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "text.png").write_text("hello")
    (folder / "dog" / "zero.png").touch()
    return folder


def test_too_many_rejects(twofold: Twofold, workdir: Path, tmp_path: Path) -> None:
    folder = _with_three_bad_files(tmp_path / "é images")
    ended = twofold(*short_run(folder, workdir))
    assert ended.status == 1
    refusal, kept = ended.error.splitlines()
    assert refusal.startswith("error: 3 of 43 images were rejected")
    for word in ("max_reject_share", "0.01", "truncated.jpg", "text.png", "zero.png"):
        assert word in refusal
    (staging,) = workdir.rglob(".tmp-folder-*")
    assert str(staging) in kept
    assert not [*workdir.rglob("folder-*")], "no data set"


def test_few_rejects_are_counted_and_the_run_goes_on(
    twofold: Twofold, workdir: Path, tmp_path: Path
) -> None:
    folder = _with_three_bad_files(tmp_path / "é images")
    arguments = short_run(folder, workdir, "data.max_reject_share=0.1")
    for _ in range(2):
        ended = twofold(*arguments, "--until", "prepare")
        assert ended.status == 0, ended.error
    ended = twofold(*arguments, "--until", "prepare", "--name", "second")
    assert "3 of 43 images were rejected" in ended.out, "told again where the data set is reused"
    listed = next(word for word in ended.out.split("see ")[1].splitlines())
    rejects = Path(listed).read_text(encoding="utf-8")
    assert all(name in rejects for name in ("truncated.jpg", "text.png", "zero.png"))


def test_mixed_sizes_without_a_size_to_bring_them_to(
    refuses: Refuses, workdir: Path, tmp_path: Path
) -> None:
    save_images(tmp_path / "images" / "cat", 20)
    save_images(tmp_path / "images" / "dog", 20, size=24)
    arguments = short_run(tmp_path / "images", workdir, "data.image_size=null")
    refuses(arguments, "2 sizes", "16x16 (20), 24x24 (20)", "data.image_size")
    # Among the first images, before any is prepared.
    save_images(tmp_path / "images" / "cat", 10, size=24)
    refuses(arguments, "2 sizes or more (16x16, 24x24)", "data.image_size", status=2)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.batch_size=41", ("training.batch_size=41", "larger than the")),
        ("training.replicas=3", ("training.batch_size=8", "3 replicas")),
        ("encoder.filters=[4, 4, 4]", ("encoder core", "at least 36x36", "received 16x16")),
        ("encoder={name: conv4}", ("encoder conv4", "at least 31x31", "data.image_size")),
        (
            "training.averaging={kind: swa, start_epoch: 0.9}",
            ("training.averaging.start_epoch=0.9", "no snapshot of 4 steps"),
        ),
        ("training.averaging={kind: swa}", ("period_steps=10", "one snapshot, after 1 of 4 st")),
    ],
)
def test_what_does_not_fit_the_images(
    setting: str, words: tuple[str, ...], refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    refuses(short_run(two_classes, workdir, setting), *words, status=2)
    assert not (workdir / "folder_simclr" / "checkpoints").exists()


def test_what_does_not_fit_the_images_own_size_before_they_are_prepared(
    refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    arguments = short_run(two_classes, workdir, "data.image_size=null", "encoder={name: conv4}")
    refuses(arguments, "encoder conv4", "at least 31x31, received 16x16", status=2)
    assert not workdir.exists()


def test_an_unknown_latent_before_anything_is_done(
    refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    refuses(
        short_run(two_classes, workdir, "evaluation.rsm_latent=size"),
        "evaluation.rsm_latent='size'",
        "expected none",
        status=2,
    )
    assert not workdir.exists()


def test_no_held_out_images_before_training(
    refuses: Refuses, workdir: Path, tmp_path: Path
) -> None:
    for name in ("train/cat", "train/dog", "unlabelled"):
        save_images(tmp_path / "images" / name, 8)
    refuses(short_run(tmp_path / "images", workdir), "test or validation", "train, unlabelled")
    assert not (workdir / "folder_simclr" / "checkpoints").exists()


def test_an_unknown_beam_option(refuses: Refuses, two_classes: Path, workdir: Path) -> None:
    refuses([*short_run(two_classes, workdir), "--", "--runer=Flink"], "--runer")
    assert _is_without_half_work(workdir)


NPZ = ("data.source=npz",)


def test_an_npz_without_its_field(refuses: Refuses, workdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "é set.npz"
    np.savez(path, pixels=np.zeros((4, 16, 16), np.uint8))
    refuses(short_run(path, workdir, *NPZ), path, "no field 'images'", "present: pixels")
    refuses(short_run(path, workdir, *NPZ, "data.image_field=x"), "no field 'x'", "pixels")
    assert not workdir.exists()


def test_a_file_that_is_no_npz(refuses: Refuses, workdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    refuses(short_run(path, workdir, *NPZ), "no such file", path)
    path.write_text("hello")
    refuses(short_run(path, workdir, *NPZ), path, "not a readable .npz file")
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quikstart"], ("unknown recipe 'quikstart'", ", ".join(recipe_names()), ".yaml")),
        (["none.yaml"], ("none.yaml: no such configuration file",)),
        (["quickstart", "--set", "data.imags=3"], ("data.imags", "did you mean 'images'?")),
        (["quickstart", "--set", "training.epochs=ten"], ("training.epochs", "received 'ten'")),
        (["quickstart", "--set", "training.epochs"], ("training.epochs", "KEY.PATH=VALUE")),
        (["quickstart", "--name", "../up"], ("--name ../up", "received '../up'")),
    ],
)
def test_a_wrong_configuration(
    arguments: list[str], words: tuple[str, ...], refuses: Refuses, workdir: Path
) -> None:
    refuses(["run", *arguments, "--workdir", str(workdir)], *words, status=2)
    assert not workdir.exists()


@pytest.mark.parametrize("command", ["run", "prepare", "pretrain", "evaluate", "export"])
def test_what_stands_before_two_dashes_is_not_beams(
    command: str, refuses: Refuses, workdir: Path
) -> None:
    given = [command, "quickstart", "stl10_simclr", "--workdir", str(workdir)]
    words = ("received stl10_simclr, too", "after --")
    refuses(given, *words, status=2)
    refuses([*given, "--", "--runner=FlinkRunner"], *words, status=2)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--set", "study.encoders=[{}]"],
            "--set study.encoders=[{}]: study.encoders: input should be a mapping of keys, "
            "received [{}]",
        ),
        (
            ["--set", "training..epochs=3"],
            "--set training..epochs=3: expected KEY.PATH=VALUE",
        ),
        (
            ["--set", "name=yes"],
            "--set name=yes: name: expected text, in quotes where YAML reads it as a number or a "
            'truth value ("..."), received true',
        ),
        (
            ["--set", "name=7"],
            "--set name=7: name: expected text, in quotes where YAML reads it as a number or a "
            'truth value ("..."), received 7',
        ),
        (
            ["--set", "views={policy: none, policy: affine}"],
            "--set views={policy: none, policy: affine}: the key policy stands twice, again in "
            "line 1: expected it once",
        ),
    ],
)
def test_a_wrong_value_is_described_in_words_of_yaml(
    arguments: list[str], line: str, twofold: Twofold
) -> None:
    ended = twofold("show", "quickstart", *arguments)
    assert (ended.status, ended.error) == (2, f"error: {line}\n")


def test_an_empty_list_of_seeds(twofold: Twofold) -> None:
    ended = twofold("show", "dsprites_study", "--set", "study.seeds=[]")
    assert ended.status == 2
    assert ended.error.endswith("study.seeds: expected at least one, received []\n")


def test_a_wrong_format_is_told_as_it_was_typed(refuses: Refuses, workdir: Path) -> None:
    for command in ("run", "export"):
        given = [command, "quickstart", "--format", "foo", "--workdir", str(workdir)]
        refuses(given, "error: --format foo: export.formats", "received 'foo'", status=2)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- quickstart\n", ("expected a mapping of keys, received list",)),
        ("seed: [1\n", ("expected a YAML file",)),
        ("seed: 1\nname: a\nseed: 2\n", ("the key seed stands twice, again in line 3",)),
        ("training: {epochs: 3, epochs: 4}\n", ("the key epochs stands twice",)),
        ("training: {epoch: 3}\n", ("unknown key training.epoch", "did you mean 'epochs'?")),
    ],
)
def test_a_wrong_configuration_file(
    text: str, words: tuple[str, ...], refuses: Refuses, workdir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "é my.yaml"
    path.write_text(text)
    refuses(["run", str(path), "--workdir", str(workdir)], path, *words, status=2)
    assert not workdir.exists()


def test_a_folder_where_a_file_is_expected(refuses: Refuses, workdir: Path, tmp_path: Path) -> None:
    for name in ("d.yaml", "d.npz", "d.csv", "d.tfrecord"):
        (tmp_path / name).mkdir()
    refuses(["show", str(tmp_path / "d.yaml")], "d.yaml is a folder", "YAML file", status=2)
    for source, name in (("npz", "d.npz"), ("listing", "d.csv"), ("tfrecord", "d.tfrecord")):
        arguments = short_run(tmp_path / name, workdir, f"data.source={source}")
        refuses(arguments, f"{tmp_path / name} is a folder: expected")
    assert not workdir.exists()


def test_merged_keys_may_be_overridden(twofold: Twofold, tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text(
        "views: &a {policy: affine}\n"
        "second_views: &b {<<: *a, policy: affine}\n"
        "probe_views: {<<: *b, policy: none}\n"
    )
    ended = twofold("show", str(path))
    assert ended.status == 0, ended.error


@pytest.fixture(scope="module")
def finished(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a prepared run."""
    from twofold.pipeline.cli.app import main

    workdir = tmp_path_factory.mktemp("work")
    with pytest.raises(SystemExit, match="0"):
        main([*short_run(two_classes, workdir), "--until", "prepare"])
    return workdir


def test_a_run_directory_of_another_configuration(
    refuses: Refuses, finished: Path, two_classes: Path, workdir: Path
) -> None:
    shutil.copytree(finished, workdir)
    record = workdir / "folder_simclr" / "run.json"
    (record.parent / "checkpoints").mkdir()
    (record.parent / "checkpoints" / "ckpt-3.index").touch()
    before = record.read_bytes()
    changed = "evaluation.neighbours: 20 there, 5 here"
    arguments = short_run(two_classes, workdir, "evaluation.neighbours=5")
    refuses(arguments, record.parent, changed, "--name", "--update", status=2)
    assert record.read_bytes() == before


def test_a_damaged_record(
    refuses: Refuses, finished: Path, two_classes: Path, workdir: Path
) -> None:
    shutil.copytree(finished, workdir)
    record = workdir / "folder_simclr" / "run.json"
    record.write_text(record.read_text()[:-9])
    refuses(short_run(two_classes, workdir), record, "damaged", "expected JSON")


def test_a_run_directory_that_is_a_file(refuses: Refuses, two_classes: Path, workdir: Path) -> None:
    workdir.mkdir()
    (workdir / "folder_simclr").write_text("mine")
    refuses(short_run(two_classes, workdir), workdir / "folder_simclr", "is a file")
    assert (workdir / "folder_simclr").read_text() == "mine"


def test_a_working_directory_that_is_a_file(
    refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    workdir.write_text("mine")
    said = f"expected a folder or a new path, received {workdir}: {workdir} is a file"
    refuses(short_run(two_classes, workdir), f"error: --workdir: {said}", status=2)
    elsewhere = short_run(two_classes, workdir.parent / "other")
    refuses([*elsewhere, "--datasets", str(workdir)], f"error: --datasets: {said}", status=2)
    assert workdir.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_working_directory_that_cannot_be_written(
    refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    workdir.mkdir(mode=0o500)
    refuses(short_run(two_classes, workdir), workdir, "Permission denied")
    assert not list(workdir.iterdir())


def test_one_step_without_those_before_it(
    refuses: Refuses, two_classes: Path, workdir: Path
) -> None:
    _, *rest = short_run(two_classes, workdir)
    refuses(["pretrain", *rest], "needs step prepare", "twofold prepare")
    assert not workdir.exists()


def test_a_model_directory_that_is_none(refuses: Refuses, tmp_path: Path) -> None:
    empty, image = tmp_path / "é empty", tmp_path / "image.png"
    empty.mkdir()
    Image.new("RGB", (4, 4)).save(image)
    refuses(["serve", str(tmp_path / "none")], tmp_path / "none", "No such model directory")
    refuses(["serve", str(empty)], empty, "<integer version>/saved_model.pb", "found nothing")
    refuses(["serve", str(image)], image, "is a file")


def test_a_busy_port(refuses: Refuses, tmp_path: Path) -> None:
    version = tmp_path / "1"
    tf.saved_model.save(tf.Module(), str(version))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        refuses(["serve", str(tmp_path), "--rest-port", port], f"Port {port}", "in use")


def test_a_run_is_not_put_among_the_data_sets(refuses: Refuses, tmp_path: Path) -> None:
    arguments = ["run", "quickstart", "--name", "datasets", "--workdir", str(tmp_path)]
    refuses(arguments, "name", "kept", status=2)
    assert not list(tmp_path.iterdir())
