import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.encoders import build_encoder
from components.export.module import LinearHead, save_encoder
from components.transforms.decode import DecodeRule, decode_images
from components.transforms.views import to_unit_range

RULE = DecodeRule(32, 28, 1)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("core", (32, 28, 1), seed=0, units=(400, 24))


@pytest.fixture(scope="module")
def head():
    random = np.random.default_rng(0)
    return LinearHead(
        random.normal(size=(24, 3)).astype(np.float32), random.normal(size=3).astype(np.float32)
    )


@pytest.fixture(scope="module")
def with_head(encoder, head, tmp_path_factory):
    directory = tmp_path_factory.mktemp("with_head") / "1"
    save_encoder(directory, encoder, RULE, head)
    return directory


@pytest.fixture(scope="module")
def without_head(encoder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("without_head") / "1"
    save_encoder(directory, encoder, RULE, None)
    return directory


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Image files of the right size and of others."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(1)
    contents = []
    for number, shape in enumerate([(32, 28), (32, 28, 3), (50, 40), (20, 70, 3)]):
        picture = Image.fromarray(random.integers(0, 256, shape, np.uint8))
        path = folder / f"{number}.{'png' if number % 2 else 'jpg'}"
        picture.save(path)
        contents.append(path.read_bytes())
    return contents


@pytest.fixture(scope="module")
def images(files):
    return decode_images(tf.constant(files), RULE).numpy()


@pytest.fixture(scope="module")
def embeddings(encoder, images):
    return np.asarray(encoder(to_unit_range(images), training=False))


def ask(directory, signature, **inputs):
    """Answers as TensorFlow Serving does: a Session, and no Python object of the model."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(directory))
        definition = meta_graph.signature_def[signature]
        return session.run(
            {name: info.name for name, info in definition.outputs.items()},
            {definition.inputs[name].name: value for name, value in inputs.items()},
        )


def test_files_get_the_encoders_embeddings_and_the_heads_answer(with_head, head, files, embeddings):
    answer = ask(with_head, "serving_default", image_bytes=files)

    assert set(answer) == {"embedding", "logits", "probabilities"}
    np.testing.assert_allclose(answer["embedding"], embeddings, atol=1e-5)
    logits = embeddings @ head.weights + head.bias
    np.testing.assert_allclose(answer["logits"], logits, atol=1e-4)
    powers = np.exp(answer["logits"] - answer["logits"].max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        answer["probabilities"], powers / powers.sum(axis=1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize("directory", ["with_head", "without_head"])
def test_pixels_get_the_encoders_embeddings(directory, images, embeddings, request):
    answer = ask(request.getfixturevalue(directory), "embed", images=images)

    assert set(answer) == {"embedding"}
    np.testing.assert_allclose(answer["embedding"], embeddings, atol=1e-5)


def test_without_a_head_there_is_only_the_embedding(without_head, files, embeddings):
    answer = ask(without_head, "serving_default", image_bytes=files)

    assert set(answer) == {"embedding"}
    np.testing.assert_allclose(answer["embedding"], embeddings, atol=1e-5)


def test_one_image_is_answered_as_within_a_batch(with_head, files, embeddings):
    answer = ask(with_head, "serving_default", image_bytes=files[2:3])

    np.testing.assert_allclose(answer["embedding"], embeddings[2:3], atol=1e-5)


def test_python_loads_it_too(with_head, images, embeddings):
    loaded = tf.saved_model.load(str(with_head))

    answer = loaded.signatures["embed"](images=tf.constant(images))
    np.testing.assert_allclose(answer["embedding"], embeddings, atol=1e-5)


def test_the_weights_are_stored_once(encoder, with_head):
    weights = sum(4 * np.prod(weight.shape) for weight in encoder.weights)
    assert weights > 1_000_000 / 4

    stored = sum(path.stat().st_size for path in (with_head / "variables").iterdir())
    assert stored < 1.2 * weights
    # Nor are they constants of the graph.
    assert (with_head / "saved_model.pb").stat().st_size < weights


def test_bytes_that_are_no_image_are_an_invalid_argument(with_head, files):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG file"):
        ask(with_head, "serving_default", image_bytes=[files[0], b"text"])


_ASK_WITH_WRONG_SHAPES = """
import sys
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    image = np.zeros((32, 28, 1), np.uint8)
    for signature, name, value in [
        ("embed", "images", image),
        ("embed", "images", image[None, None]),
        ("embed", "images", image[None, :, :20]),
        ("embed", "images", np.zeros((), np.uint8)),
        ("serving_default", "image_bytes", np.array(b"one", object)),
        ("serving_default", "image_bytes", np.array([[b"one"]], object)),
    ]:
        definition = meta_graph.signature_def[signature]
        # The public ways to feed a value check its shape in Python, which no server does.
        answer = session._make_callable_from_options(
            config_pb2.CallableOptions(
                feed=[definition.inputs[name].name], fetch=[definition.outputs["embedding"].name]
            )
        )
        try:
            answer(value)
        except tf.errors.InvalidArgumentError as error:
            print("refused", type(error).__name__)
    print("alive")
"""


def test_wrong_shapes_are_invalid_arguments_and_do_not_end_the_process(with_head):
    finished = subprocess.run(
        [sys.executable, "-c", _ASK_WITH_WRONG_SHAPES, str(with_head)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split("\n")[:-1] == ["refused InvalidArgumentError"] * 6 + ["alive"]
