import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.encoders import build_encoder
from components.export.module import LinearHead, save_encoder
from components.export.verify import ProofError, Sample, prove
from components.transforms.decode import DecodeRule, decode_images
from components.transforms.views import to_unit_range

RULE = DecodeRule(16, 16, 3)


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    # What follows the end of an image is ignored, and zeros there must survive the journey.
    return file.getvalue() + b"\0" * 5


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("core", (16, 16, 3), seed=0)


@pytest.fixture(scope="module")
def sample(encoder):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3), np.uint8)
    files = [png(picture) for picture in pictures]
    images = decode_images(tf.constant(files), RULE)
    embeddings = np.asarray(encoder(to_unit_range(images), training=False))
    return Sample(files, images.numpy(), embeddings)


def test_a_fresh_process_answers_as_the_encoder_did(encoder, sample, tmp_path):
    head = LinearHead(np.ones((84, 2), np.float32), np.zeros(2, np.float32))
    save_encoder(tmp_path / "1", encoder, RULE, head)

    differences = prove(tmp_path / "1", sample)

    assert set(differences) == {"max_difference/serving_default", "max_difference/embed"}
    assert all(0 <= difference < 1e-5 for difference in differences.values())


def test_another_weight_is_found_out(sample, tmp_path):
    tampered = build_encoder("core", (16, 16, 3), seed=0)
    bias = tampered.get_layer("dense2").bias
    bias.assign(bias + 0.01)
    save_encoder(tmp_path / "1", tampered, RULE, None)

    with pytest.raises(ProofError, match="the served embeddings are not the offline ones"):
        prove(tmp_path / "1", sample)


def test_embeddings_of_another_width_are_found_out(encoder, sample, tmp_path):
    save_encoder(tmp_path / "1", encoder, RULE, None)
    narrow = dataclasses.replace(sample, embeddings=sample.embeddings[:, :1])

    with pytest.raises(ProofError, match=r"embeddings of shape \(5, 84\), expected \(5, 1\)"):
        prove(tmp_path / "1", narrow)


def test_a_directory_without_a_model_is_named(sample, tmp_path):
    with pytest.raises(ProofError, match=f"{tmp_path} does not answer"):
        prove(tmp_path, sample)
