"""One line for an exception says whose fault it is: the user's, the machine's or the program's."""

import errno
import os

import pytest
import tensorflow as tf

from twofold.components.data.preparation import beam_pipeline
from twofold.components.encoders.build import build_encoder
from twofold.components.errors import DataError, PortInUseError
from twofold.components.transforms import blur
from twofold.pipeline.runs.error_line import error_line


def _caught(function, *arguments, **settings) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*arguments, **settings)
    return caught.value


def test_what_twofold_says_stands_as_it_is_in_one_line() -> None:
    assert error_line(DataError("pets.npz: no\n  field 'x'")) == "pets.npz: no field 'x'"
    assert error_line(PortInUseError(errno.EADDRINUSE, "Port 80 is in use")) == "Port 80 is in use"


def test_what_a_setting_causes_is_no_internal_error() -> None:
    error = _caught(build_encoder, "core", (8, 8, 3), seed=0, filters=[4, 4])
    assert error_line(error).startswith("the encoder core with 2 convolutions needs images of")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", b"/w"), "/w: Permission denied"),
        (OSError(errno.EXDEV, "Invalid link", "/a", None, "/b"), "/a and /b: Invalid link"),
        (ConnectionError("the host does not\nanswer"), "the host does not answer"),
        (BrokenPipeError(), "BrokenPipeError"),
    ],
)
def test_an_error_of_the_system_is_its_words_and_the_path(error: OSError, line: str) -> None:
    assert error_line(error) == line


@pytest.mark.parametrize(
    "error", [MemoryError("no 3 GiB"), tf.errors.ResourceExhaustedError(None, None, "no 3 GiB")]
)
def test_a_lack_of_memory_is_the_machines(error: Exception) -> None:
    assert error_line(error) == "out of memory: no 3 GiB"


def test_a_fault_of_the_program_says_where_it_is() -> None:
    """A ValueError that Python, NumPy or TensorFlow raises in our code is not the user's."""
    line = error_line(_caught(blur.gaussian_kernels, tf.constant([1.0]), "three"))
    assert line.startswith("internal error: TypeError: ")
    assert "(at twofold/components/transforms/blur.py:" in line
    assert line.endswith("; run again with --debug for the traceback")


def test_a_fault_outside_of_twofold_has_no_line_of_it() -> None:
    assert error_line(_caught(int, "x")) == (
        "internal error: ValueError: invalid literal for int() with base 10: 'x'; "
        "run again with --debug for the traceback"
    )


def test_a_long_message_keeps_its_start_and_its_end() -> None:
    line = error_line(RuntimeError("first " + 1000 * "x" + " last"))
    assert "RuntimeError: first xx" in line
    assert "xx last; run again" in line
    assert len(line) < 600


def test_a_full_disk_that_a_worker_of_beam_met_is_the_systems_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beam's runner puts a RuntimeError around it."""

    class Pipeline:
        def run(self) -> None:
            try:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/shard")
            except OSError as error:
                raise RuntimeError(f"{error!r} [while running 'write']")  # noqa: B904

    monkeypatch.setattr(beam_pipeline, "build_pipeline", lambda *arguments: Pipeline())
    error = _caught(beam_pipeline.run_pipeline, None, [], [], 1)
    assert error_line(error) == f"/data/shard: {os.strerror(errno.ENOSPC)}"
