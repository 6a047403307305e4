import dataclasses
import shutil

import numpy as np
import pytest

from tests.exported import FILES, IMAGES, LINEAGE, describe, embeddings_of, save_tiny
from twofold.components.errors import ExportedModelError
from twofold.components.export.proof.inspection import inspect, verify_files
from twofold.components.export.proof.smoke_test import Answers, ask, run_smoke_test
from twofold.components.export.saved_model.lineage import write_lineage
from twofold.components.export.saved_model.recorded_requests import (
    RecordedSample,
    read_sample,
    write_sample,
)
from twofold.components.export.saved_model.version_directory import (
    checksum_of,
    file_checksums,
    write_checksums,
)
from twofold.components.export.saved_model.warmup_requests import (
    WarmupRequest,
    write_warmup_requests,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    return describe(save_tiny(tmp_path_factory.mktemp("model") / "1"))


@pytest.fixture
def version(described, tmp_path):
    shutil.copytree(described, tmp_path / "1")
    return tmp_path / "1"


@pytest.fixture
def asked_here(monkeypatch):
    """Asks the model in this process, which takes less time."""
    monkeypatch.setattr("twofold.components.export.proof.inspection.run_smoke_test", ask)


@pytest.fixture
def unasked(monkeypatch):
    """Leaves out the process that asks the model."""
    answers = Answers((), loaded=True, requests=4, compared=3)
    monkeypatch.setattr(
        "twofold.components.export.proof.inspection.run_smoke_test", lambda version, runs: answers
    )


def test_an_intact_model_is_told_and_verified(version):
    (version.parent / "encoder.onnx").write_bytes(b"1234")
    (version.parent / "runtimes").mkdir()
    (version.parent / "runtimes" / "encoder.tflite").write_bytes(b"12")
    (version.parent / "2").mkdir()
    (version.parent / "2" / "encoder.tflite").touch()

    found = inspect(version, runs=7)

    assert found.damage == ()
    assert found.unverified == ()
    assert found.checksum == checksum_of(file_checksums(version))
    assert found.lineage == LINEAGE
    assert sorted(found.signatures) == ["embed", "serving_default"]
    assert found.heads == ("serving_default",)
    assert {check.name: check.passed for check in found.checks} == {
        "lineage": True,
        "checksums": True,
        "loads": True,
        "answers": True,
    }
    assert dataclasses.replace(found.answers, latency_ms=None) == Answers(
        (), loaded=True, requests=4, compared=3, runs=7
    )
    assert found.answers.latency_ms is not None
    assert 0 < found.answers.latency_ms < 1000
    assert [(one.runtime, one.path.name, one.bytes) for one in found.runtimes] == [
        ("ONNX", "encoder.onnx", 4),
        ("LiteRT", "encoder.tflite", 2),
    ]
    files = [path for path in version.rglob("*") if path.is_file()]
    assert found.sizes["all"] == sum(path.stat().st_size for path in files)
    assert found.sizes["variables"] == sum(
        path.stat().st_size for path in files if path.parent.name == "variables"
    )


@pytest.mark.usefixtures("asked_here")
def test_answers_that_are_not_the_recorded_ones_are_damage(version):
    # The list of checksums was written after the wrong answers: only asking finds them.
    wrong = embeddings_of(IMAGES) * 1.001
    write_sample(version, RecordedSample(FILES, IMAGES, wrong))
    write_checksums(version)

    (damage,) = inspect(version).damage

    assert damage.startswith("the recorded sample: serving_default gives embeddings that differ by")


@pytest.mark.usefixtures("asked_here")
def test_a_model_that_does_not_load_is_damaged(version):
    data = version / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[0] ^= 255
    data.write_bytes(content)

    checksum, loading = inspect(version).damage

    assert checksum.startswith("variables/variables.data-00000-of-00001 is damaged: its sha256 is")
    assert loading.startswith("it does not load: ")
    assert "Checksum does not match" in loading


def test_a_process_that_ends_early_is_damage(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho first >&2\necho the reason >&2\nkill -ABRT $$\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))

    answers = run_smoke_test(tmp_path)

    assert answers == Answers(("the process that loaded it ended by SIGABRT: the reason",))


@pytest.mark.usefixtures("asked_here")
def test_a_question_that_fails_is_damage_and_the_others_are_asked(version):
    requests = [
        WarmupRequest("embed", {"images": IMAGES}),
        WarmupRequest("gone", {"images": IMAGES}),
        WarmupRequest("embed", {"pixels": IMAGES}),
        WarmupRequest("embed", {"images": IMAGES[:, :1]}),
    ]
    write_warmup_requests(version, requests)
    write_checksums(version)

    found = inspect(version, runs=5)

    assert [one.partition(": ")[0] for one in found.damage] == [
        "warmup request 1 to gone",
        "warmup request 2 to embed",
        "warmup request 3 to embed",
    ]
    assert (found.answers.requests, found.answers.compared) == (1, 3)
    # There is no use in timing a damaged model.
    assert found.answers.latency_ms is None


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("harm", "damage"),
    [
        (lambda extra: (extra / "model_card.md").unlink(), "assets.extra/model_card.md is missing"),
        (lambda extra: (extra / "more").touch(), "assets.extra/more is not in the list"),
        (lambda extra: (extra / "config.yaml").write_text("name: x\n"), "assets.extra/config.yaml"),
        (lambda extra: (extra / "checksums.json").unlink(), "assets.extra/checksums.json is mis"),
        (lambda extra: (extra / "checksums.json").write_text("{"), "checksums.json is damaged"),
    ],
)
def test_a_file_that_changed_is_damage(version, harm, damage):
    harm(version / "assets.extra")

    (found,) = inspect(version).damage
    assert damage in found
    assert [check.detail for check in verify_files(version)] == [found]


@pytest.mark.usefixtures("unasked")
def test_damaged_lineage_and_graph_are_told_beside_their_checksums(version):
    (version / "assets.extra" / "twofold.json").write_text("{")
    (version / "saved_model.pb").write_bytes(b"")

    found = inspect(version)

    assert found.lineage is None
    assert found.signatures == {}
    assert len(found.damage) == 4


@pytest.mark.usefixtures("unasked")
def test_what_is_not_recorded_is_not_verified_and_no_damage(tmp_path):
    found = inspect(save_tiny(tmp_path / "1"))

    assert found.damage == ()
    assert found.unverified == ("it records no lineage", "it records no checksums")


@pytest.mark.usefixtures("asked_here")
def test_a_model_without_questions_is_loaded_and_not_asked(tmp_path):
    version = save_tiny(tmp_path / "1", head=False)
    write_lineage(version, LINEAGE)
    write_checksums(version)

    found = inspect(version, runs=5)

    assert found.damage == ()
    assert found.unverified == (
        "it records no requests (assets.extra/tf_serving_warmup_requests or "
        "assets.extra/sample.npz)",
    )
    assert found.answers == Answers((), loaded=True)
    assert found.heads == ()


def test_a_sample_is_read_as_it_was_written(tmp_path):
    files = [b"\0", b"", b"ab\0\0"]
    write_sample(tmp_path, RecordedSample(files, IMAGES, embeddings_of(IMAGES)))

    sample = read_sample(tmp_path)

    assert sample is not None
    assert sample.image_bytes == files
    np.testing.assert_array_equal(sample.images, IMAGES)
    np.testing.assert_array_equal(sample.embeddings, embeddings_of(IMAGES))
    assert read_sample(tmp_path / "elsewhere") is None
    (tmp_path / "assets.extra" / "sample.npz").write_bytes(b"PK")
    with pytest.raises(ExportedModelError, match=r"sample\.npz is damaged"):
        read_sample(tmp_path)


@pytest.mark.parametrize("files", [FILES[:2], []])
def test_a_sample_of_unequal_parts_is_refused(files):
    with pytest.raises(ValueError, match="at least one of each"):
        RecordedSample(files, IMAGES[: max(len(files), 1)], embeddings_of(IMAGES))
