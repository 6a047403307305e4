"""The step of the pipeline: what it hands to the export and its proof, and what it leaves."""

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.pipeline.conftest import save_images, short_run
from twofold.components import keyed_random
from twofold.components.errors import ProofError
from twofold.components.export.proof.proof import Proof
from twofold.components.methods.labelled.self_training import SelfTraining
from twofold.components.methods.labelled.self_training_settings import SelfTrainingSettings
from twofold.components.methods.settings import METHODS
from twofold.components.training.method import MethodInput
from twofold.components.transforms.consistency.consistency_views import build_noise
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.policies_settings import CropViewsSettings, NNCLRViewsSettings
from twofold.components.transforms.views import make_views
from twofold.pipeline.cli.app import main
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import build_training_views
from twofold.pipeline.steps import export


def images_and_keys():
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    keys = keyed_random.image_keys(1, tf.constant(0, tf.int64), tf.range(3, dtype=tf.int64))
    return tf.constant(images), keys


def test_two_policies_draw_the_two_views_of_training():
    config = RunConfig(views=NNCLRViewsSettings(), second_views=CropViewsSettings())
    assert config.second_views is not None
    images, keys = images_and_keys()

    found = build_training_views(config)(images, keys)

    policies = build_view(config.views), build_view(config.second_views)
    np.testing.assert_array_equal(tf.stack(found), make_views(policies, images, keys))


def test_self_training_draws_a_clean_view_and_the_students_noisy_one():
    method = SelfTrainingSettings()
    config = RunConfig(method=method)
    images, keys = images_and_keys()

    clean, noisy = tf.function(build_training_views(config))(images, keys)

    noise = build_noise(method.noise)
    settings = METHODS.defaults("self_training")
    student = SelfTraining(
        encoder=None,
        head=None,
        teacher_encoder=None,
        teacher_head=None,
        clean=build_view(config.views),
        noise=noise,
        compile_views=False,
        **{
            key: settings[key]
            for key in ("crops", "temperature", "squared_temperature", "confidence")
        },
    )
    labels, step = tf.zeros(3, tf.int32), tf.constant(0, tf.int64)
    expected = student._draw(MethodInput(images, labels, keys, step))
    np.testing.assert_allclose(clean, expected[0], atol=1e-5)
    # The noise counts in 256 steps, which a last bit may decide.
    assert np.abs(noisy - expected[1]).mean() < 1e-4
    assert np.abs(noisy - clean).mean() > 0.01


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Of the step `export` of a run whose other steps are done."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("cat", "dog"):
        save_images(folder / "images" / name, 20)
    whole = short_run(folder / "images", folder / "work")
    assert call(*whole, "--until", "evaluate") == 0
    return folder / "work" / "folder_simclr", ["export", *whole[1:]]


def test_a_failed_proof_leaves_no_version_and_says_why(arguments, monkeypatch, capsys):
    run, command = arguments

    def refuse(version, sample, signatures):
        assert (version / "saved_model.pb").exists()
        raise ProofError("embed: the embedding differs from the offline one by 2.0e-01")

    monkeypatch.setattr(export, "prove", refuse)

    assert call(*command) == 1
    assert "embed: the embedding differs from the offline one by 2.0e-01" in capsys.readouterr().err
    assert list((run / "saved_model").iterdir()) == []


def test_the_proof_is_asked_about_held_out_images_and_its_findings_are_kept(arguments, monkeypatch):
    run, command = arguments
    asked: dict[str, Any] = {}

    def accept(version, sample, signatures):
        asked.update(sample=sample, signatures=signatures)
        return Proof({"embed": 0.0, "views": 0.5}, {1: 2.5})

    monkeypatch.setattr(export, "prove", accept)
    assert call(*command) == 0

    sample = asked["sample"]
    held_out = np.load(run / "embeddings" / "test.npy")
    np.testing.assert_array_equal(sample.embeddings, held_out[:256])
    assert len(sample.image_bytes) == len(sample.images) == len(sample.embeddings)
    assert tuple(sample.class_names) == ("cat", "dog")
    assert set(sample.heads) == {"classify", "classify_knn"}
    for head in sample.heads.values():
        np.testing.assert_allclose(head(sample.embeddings).sum(axis=1), 1, atol=1e-5)
    assert sample.views.shape == (2, len(sample.images[:8]), 16, 16, 3)
    assert {"classify", "classify_knn", "augment", "classify_tta"} <= set(asked["signatures"])
    described = json.loads((run / "saved_model/1/assets.extra/twofold.json").read_text())
    assert described["class_names"] == ["cat", "dog"]
    assert described["image"]["formats"] == ["JPEG", "PNG"]
    assert described["image"]["exif_orientation"].startswith("not applied")
    metrics = json.loads((run / "metrics.json").read_text())
    found = {name: value for name, value in metrics.items() if name.startswith("export/")}
    size = sum(path.stat().st_size for path in (run / "saved_model" / "1").rglob("*"))
    assert found == {
        "export/bytes": size,
        "export/max_difference/embed": 0.0,
        "export/latency_ms_batch_1": 2.5,
    }
