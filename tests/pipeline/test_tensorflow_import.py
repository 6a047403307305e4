"""TensorFlow's greetings are put aside and its troubles are not; oneDNN's kernels are used."""

import importlib
import os
import platform
import sys
import types

import pytest

from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline import tensorflow_import


def _import_that(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """Stands in for TensorFlow: its import writes to the stream below Python's, as C++ does."""

    def import_module(name: str) -> types.ModuleType:
        os.write(2, b"oneDNN custom operations are on\n")
        if error is not None:
            raise error
        return types.ModuleType(name)

    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setattr(importlib, "import_module", import_module)


def test_what_an_import_says_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _import_that(monkeypatch, None)
    tensorflow_import.import_tensorflow()
    os.write(2, b"later messages are\n")
    assert capfd.readouterr().err == "later messages are\n"


def test_what_a_failing_import_says_is_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _import_that(monkeypatch, ImportError("no AVX"))
    with pytest.raises(ImportError, match="no AVX"):
        tensorflow_import.import_tensorflow()
    os.write(2, b"later messages too\n")
    assert capfd.readouterr().err == "oneDNN custom operations are on\nlater messages too\n"


def test_a_second_import_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    assert "tensorflow" in sys.modules
    tensorflow_import.import_tensorflow()


@pytest.mark.parametrize(
    ("machine", "before", "after"),
    [
        ("x86_64", None, "1"),
        ("AMD64", None, "1"),
        ("x86_64", "0", "0"),
        ("arm64", None, None),
    ],
)
def test_x86_processors_use_onednn_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, machine: str, before: str | None, after: str | None
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    # First set, so that monkeypatch puts the environment back whatever the call does.
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", before or "")
    if before is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    tensorflow_import.choose_kernels()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == after


def test_what_an_import_says_that_a_signal_ends_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _import_that(monkeypatch, Interruption("SIGTERM", 143))
    with pytest.raises(Interruption):
        tensorflow_import.import_tensorflow()
    assert capfd.readouterr().err == ""


def test_an_import_needs_no_stream_for_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    _import_that(monkeypatch, None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(os, "dup", _closed)
    tensorflow_import.import_tensorflow()


def _closed(number: int) -> int:
    raise OSError(9, "Bad file descriptor")
