"""The doctor names versions, devices and memory, and what is missing for which feature."""

import importlib.metadata
import os

import pytest

from twofold.pipeline.cli import doctor


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> dict[str, str]:
    def version(package: str) -> str:
        if package in missing:
            raise importlib.metadata.PackageNotFoundError(package)
        return "1.2.3"

    monkeypatch.setattr(importlib.metadata, "version", version)
    return dict(doctor.examine())


def test_versions_devices_memory_and_disk_are_named() -> None:
    findings = dict(doctor.examine())
    assert findings["tensorflow"] == importlib.metadata.version("tensorflow")
    assert findings["apache-beam"] == importlib.metadata.version("apache-beam")
    assert "CPU cores" in findings["devices"]
    assert "GiB" in findings["memory"]
    assert "GiB free" in findings["disk"]


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "install twofold again" in _without(monkeypatch, "keras")["keras"]


def test_a_missing_extra_is_named_with_its_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = "google-cloud-storage"
    assert "pip install 'twofold[gcp]'" in _without(monkeypatch, extra)[extra]
    assert _without(monkeypatch)[extra] == "1.2.3"


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def sysconf(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert dict(doctor.examine())["memory"] == "unknown on this system"


@pytest.mark.parametrize(
    ("instructions", "finding"),
    [
        (None, "unknown on this system"),
        ([], "training.precision=float32 is faster"),
        (["amx_bf16", "avx512_bf16"], "the CPU has amx_bf16, avx512_bf16"),
    ],
)
def test_instructions_for_bfloat16_are_named(
    monkeypatch: pytest.MonkeyPatch, instructions: list[str] | None, finding: str
) -> None:
    from twofold.components.training import precision

    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: instructions)
    assert finding in dict(doctor.examine())["bfloat16"]
