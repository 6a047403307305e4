"""No path with a scheme is ever taken for a local one, in any command or setting."""

import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.pipeline.conftest import Outcome
from twofold.components import files
from twofold.components.errors import ConfigError, DataError, UsageError
from twofold.pipeline.cli import app as cli
from twofold.pipeline.config import RunConfig, override, parse_config

Twofold = Callable[..., Outcome]
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
# Texts that are, or become, a part of a path.
TEXTS = ("recipe", "name", "datasets", "dataset")
PATHS = ("gs://bucket/runs", "S3://b", "file:///tmp/x", "gs:/bucket/runs")
# The name of a served model is part of an address alone.
NO_PATHS = {("serve", "name")}


def _path_arguments() -> Iterator[tuple[str, str]]:
    for registered in cli.app.registered_commands:
        function: Any = registered.callback
        command = registered.name or function.__name__
        for name, kind in typing.get_type_hints(function).items():
            is_text = name in TEXTS and (command, name) not in NO_PATHS
            if is_text or Path in (kind, *typing.get_args(kind)):
                yield command, name


def _arguments(command: str, name: str, path: str) -> list[str]:
    """Gives a whole command, one of whose arguments is a path."""
    given: list[str] = []
    for param in COMMANDS[command].params:
        if param.param_type_name == "argument" and param.required:
            given += [path if param.name == name else "quickstart"]
        elif param.name == name:
            given += [max(param.opts, key=len), path]
    return [command, *given]


def test_every_command_that_takes_a_path_is_known() -> None:
    found = set(_path_arguments())
    assert {("run", "workdir"), ("promote", "serving_root"), ("compare", "out")} <= found
    assert len(found) >= 30


@pytest.mark.parametrize(
    ("command", "name", "path"),
    [
        (command, name, path)
        for command, name in _path_arguments()
        for path in PATHS
        # Data sets may be in a bucket.
        if not (name in ("datasets", "dataset") and files.is_remote(path))
    ],
)
def test_a_path_with_a_scheme_is_refused_in_one_line(
    command: str, name: str, path: str, twofold: Twofold, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ended = twofold(*_arguments(command, name, path))
    assert ended.status == 2, ended
    (line,) = ended.error.splitlines()
    assert name.replace("_", "-").upper() in line.upper().replace("_", "-") or "RUN" in line
    expected = "a name" if name == "name" else "a path on a local disk"
    assert f"expected {expected}" in line
    assert path.replace(":/", "://").replace(":///", "://").split("://")[0] in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("evaluation.robustness_baseline", {"name": "dsprites"}),
        ("evaluation.corrupted_tfds", {"name": "dsprites"}),
        ("data.tfds_dir", "tfds"),
        ("data.tfds_manual_dir", "tfds"),
        ("data.tfds_name", "tfds"),
        ("data.path", "npz"),
    ],
)
@pytest.mark.parametrize("path", ["gs://bucket/x", "hdfs://host/x", "memory:/x"])
def test_a_setting_that_is_a_local_path_takes_no_scheme(key: str, source: Any, path: str) -> None:
    needed = {"tfds": ["data.source=tfds", "data.tfds_name=cifar10"], "npz": ["data.source=npz"]}
    chosen = needed.get(source, []) if isinstance(source, str) else []
    with pytest.raises(UsageError, match=f"{key}: a bucket is not supported here"):
        override(RunConfig(), [*chosen, f"{key}={path}"])


def test_a_configuration_with_such_a_path_is_wrong_usage(tmp_path: Path, twofold: Twofold) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("evaluation: {robustness: all, robustness_baseline: 'gs://b/run'}")
    ended = twofold("show", str(file))
    assert ended.status == 2
    assert "received gs://b/run" in ended.error


def test_sources_that_read_buckets_still_do() -> None:
    for settings in (
        {"source": "folder", "path": ["gs://b/images"]},
        {"source": "listing", "path": ["gs://b/list.csv"], "root": "gs://b"},
        {"source": "tfrecord", "path": ["gs://b/*.tfrecord"]},
    ):
        assert parse_config({"data": settings}, "test").data.source.name == settings["source"]


@pytest.mark.parametrize(
    "settings",
    [
        ["data.source=folder", "data.path=gs:/b/x"],
        ["data.source=folder", "data.path=[gs://b/x, gs:/b/x]"],
        ["data.source=tfrecord", "data.path=gs:/b/x"],
        ["data.source=listing", "data.path=gs:/b/x"],
        ["data.source=listing", "data.path=x.csv", "data.root=gs:/b/x"],
    ],
)
def test_a_setting_with_a_lost_slash_is_no_local_path(
    settings: list[str], twofold: Twofold
) -> None:
    ended = twofold("show", "quickstart", *(part for one in settings for part in ("--set", one)))
    assert ended.status == 2
    (line,) = ended.error.splitlines()
    key = settings[-1].partition("=")[0]
    assert line == (f"error: {key}: expected a path on a local disk, or gs://b/x, received gs:/b/x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("GS://b/x", "expected gs://b/x, received GS://b/x"),
        ("file:/x", "expected a local path without file:, received file:/x"),
    ],
)
def test_a_scheme_is_written_as_it_is_known(path: str, message: str, twofold: Twofold) -> None:
    chosen = ("--set", "data.source=folder", "--set", f"data.path={path}")
    ended = twofold("show", "quickstart", *chosen)
    assert (ended.status, ended.error) == (2, f"error: data.path: {message}\n")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("memory://x", "is lost when the command ends"),
        (
            "file:///tmp/x",
            "expected a path on a local disk without file://, received file:///tmp/x",
        ),
        ("gs:/b/x", "expected a path on a local disk, or gs://b/x, received gs:/b/x"),
        ("GS://b/x", "expected gs://b/x, received GS://b/x"),
    ],
)
def test_data_sets_are_kept_where_they_outlive_the_command(
    path: str, words: str, twofold: Twofold
) -> None:
    ended = twofold("prepare", "quickstart", "--datasets", path)
    assert ended.status == 2
    (line,) = ended.error.splitlines()
    assert line.startswith("error: --datasets: ")
    assert words in line


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("data.path", ["data.source=folder", "data.path=[images, memory://x]"]),
        ("data.path", ["data.source=tfrecord", "data.path=memory://x"]),
        ("data.root", ["data.source=listing", "data.path=x.csv", "data.root=memory://x"]),
    ],
)
@pytest.mark.parametrize("command", ["show", "prepare"])
def test_images_are_read_where_they_were_before_the_command(
    command: str, key: str, settings: list[str], twofold: Twofold, tmp_path: Path
) -> None:
    arguments = [part for one in settings for part in ("--set", one)]
    if command == "prepare":
        arguments += ["--workdir", str(tmp_path / "work")]
    ended = twofold(command, "quickstart", *arguments)
    assert ended.status == 2
    (line,) = ended.error.splitlines()
    assert line.startswith(f"error: {key}: memory:// begins empty, ")
    assert line.endswith("as in gs://BUCKET/FOLDER, received memory://x")
    assert not (tmp_path / "work").exists()


def test_a_path_is_told_as_it_was_typed(twofold: Twofold) -> None:
    ended = twofold("compare", "run", "--out", "file:///tmp/z")
    assert ended.status == 2
    assert ended.error == (
        "error: --out: expected a path on a local disk without file://, received file:///tmp/z\n"
    )


def test_a_missing_package_of_a_scheme_is_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(DataError, match=r"^s3://b/x: Install s3fs to access S3$"):
        files.exists("s3://b/x")
    with pytest.raises(DataError, match=r"pip install 'twofold\[gcp\]'$"):
        files.exists("gs://b/x")


@pytest.mark.parametrize("key", ["data.source", "method.name", "encoder.name", "views.policy"])
@pytest.mark.parametrize("value", ["[a]", "{a: 1}", "3", "null"])
def test_a_kind_that_is_no_text_is_unknown(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown {key} .*: expected one of [a-z]"):
        override(RunConfig(), [f"{key}={value}"])
