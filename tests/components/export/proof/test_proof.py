"""The proof in fresh processes: what it finds right, and what it finds out."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from twofold.components import keyed_random
from twofold.components.encoders.build import build_encoder
from twofold.components.errors import ProofError
from twofold.components.evaluation.embedding import embed
from twofold.components.evaluation.probes.knn import knn_predict
from twofold.components.export.proof import proof as verify
from twofold.components.export.proof.proof import Sample, prove
from twofold.components.export.saved_model.classifier_heads import LinearHead
from twofold.components.export.saved_model.knn_head import NeighbourHead
from twofold.components.export.saved_model.module import save_encoder
from twofold.components.transforms.decode import DecodeRule, decode_images
from twofold.components.transforms.policies import build_policy
from twofold.components.transforms.views import make_views

RULE = DecodeRule(16, 16, 3)
NAMES = ("cat", "dog")
VIEW = build_policy("simclr_weak")


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    # What follows the end of an image is ignored, and zeros there must survive the journey.
    return file.getvalue() + b"\0" * 5


def training_views(images, keys):
    return tf.unstack(make_views((VIEW, VIEW), images, keys), num=2)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("core", (16, 16, 3), seed=0)


@pytest.fixture(scope="module")
def heads(encoder):
    random = np.random.default_rng(1)
    width = encoder.output_shape[-1]
    rows = np.abs(random.normal(size=(200, width))).astype(np.float32)
    return {
        "classify": LinearHead(
            random.normal(size=(width, 2)).astype(np.float32), np.zeros(2, np.float32)
        ),
        "classify_knn": NeighbourHead(rows, random.integers(0, 2, 200), 2, k=5),
    }


def by_neighbours(head, embeddings):
    return knn_predict(head.embeddings, head.labels, embeddings, classes=2, k=head.k)


@pytest.fixture(scope="module")
def sample(encoder, heads):
    pictures = np.random.default_rng(0).integers(0, 256, (70, 20, 20, 3), np.uint8)
    files = [png(picture) for picture in pictures]
    images = decode_images(tf.constant(files), RULE).numpy()
    keys = keyed_random.image_keys(3, tf.constant(0, tf.int64), tf.range(8, dtype=tf.int64))
    linear = heads["classify"].build()
    return Sample(
        files,
        images,
        embed(encoder, images),
        class_names=NAMES,
        heads={
            "classify": lambda embeddings: tf.nn.softmax(linear.logits(embeddings)).numpy(),
            "classify_knn": lambda embeddings: by_neighbours(heads["classify_knn"], embeddings),
        },
        views=make_views((VIEW, VIEW), tf.constant(images[:8]), keys).numpy(),
        seed=3,
    )


@pytest.fixture(scope="module")
def exported(encoder, heads, tmp_path_factory):
    version = tmp_path_factory.mktemp("model") / "1"
    signatures = save_encoder(
        version,
        encoder,
        RULE,
        heads["classify"],
        class_names=NAMES,
        heads={"knn": heads["classify_knn"]},
        views=training_views,
    )
    return version, signatures


@pytest.fixture(scope="module")
def proof(exported, sample):
    version, signatures = exported
    return prove(version, sample, signatures)


def test_fresh_processes_answer_as_the_encoder_did(proof):
    embeddings = {"serving_default", "classify", "classify_knn", "embed", "embed_bytes"}
    assert set(proof.differences) == {
        *embeddings,
        "c_api/embed",
        "c_api/embed_bytes",
        "probabilities/classify",
        "probabilities/classify_knn",
        "views",
    }
    assert all(0 <= proof.differences[name] < 1e-5 for name in embeddings)
    assert proof.differences["c_api/embed"] < 1e-5
    assert proof.differences["views"] < 1e-5
    assert proof.differences["probabilities/classify_knn"] < 1e-4


def test_the_same_batch_on_the_same_machine_gives_the_same_bits(proof):
    # All 70 images at once, as `embed` computes them: one kernel, one order of sums.
    assert proof.differences["serving_default"] == 0
    assert proof.differences["embed"] == 0
    assert proof.differences["c_api/embed"] == 0


def test_latency_and_differences_are_metrics(proof):
    metrics = proof.metrics()

    assert {name for name in metrics if name.startswith("latency")} == {
        "latency_ms_batch_1",
        "latency_ms_batch_8",
        "latency_ms_batch_64",
    }
    assert all(value > 0 for name, value in metrics.items() if name.startswith("latency"))
    assert metrics["max_difference/serving_default"] == proof.differences["serving_default"]
    assert not [name for name in metrics if "probabilities" in name or "views" in name]


def test_another_weight_is_found_out_with_the_signature_and_the_difference(sample, tmp_path):
    tampered = build_encoder("core", (16, 16, 3), seed=0)
    bias = tampered.get_layer("dense2").bias
    bias.assign(bias + 0.01)
    signatures = save_encoder(tmp_path / "1", tampered, RULE)
    plain = Sample(sample.image_bytes, sample.images, sample.embeddings)

    with pytest.raises(ProofError, match=r"1: embed: the embedding differs .* by \d\.\d\de-0\d"):
        prove(tmp_path / "1", plain, signatures)


def test_a_directory_without_a_model_is_named(sample, tmp_path):
    with pytest.raises(ProofError, match=f"{tmp_path} holds no SavedModel"):
        prove(tmp_path, sample, ["embed"])


def test_a_model_that_does_not_load_is_said_with_its_cause(exported, sample, tmp_path):
    version, signatures = exported
    (tmp_path / "saved_model.pb").write_bytes((version / "saved_model.pb").read_bytes())

    with pytest.raises(ProofError, match=r"does not answer through the C\+\+ loader \(exit status"):
        prove(tmp_path, sample, signatures)


def test_probabilities_may_differ_by_what_the_last_bits_of_an_embedding_do(sample):
    few = sample.embeddings[:8]
    # A head that magnifies differences of embeddings, and one that does not look at them.
    steep = dataclasses.replace(
        sample, heads={"classify": lambda e: tf.nn.softmax(1e8 * (e - few)).numpy()}
    )
    flat = dataclasses.replace(sample, heads={"classify": lambda e: np.full((len(e), 2), 0.5)})

    assert verify._tolerance("probabilities/classify", flat) == verify.PROBABILITY_TOLERANCE
    assert verify._tolerance("probabilities/classify", steep) > 2 * verify.PROBABILITY_TOLERANCE


@pytest.mark.parametrize("statement", ["import keras", "import keras.layers", "import components"])
def test_what_is_blocked_cannot_be_imported(statement, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nprint(sys.argv[1:])\n{statement}\n")

    finished = subprocess.run(
        [
            *(sys.executable, "-I", str(verify._FOLDER / "proof_isolated.py")),
            *("keras,components", str(script), "one", "two"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.stdout == "['one', 'two']\n"
    assert "ModuleNotFoundError" in finished.stderr
    assert finished.returncode == 1
