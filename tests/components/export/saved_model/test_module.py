import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.saved_model import fingerprinting_utils

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import ExportError
from twofold.components.export.saved_model.classifier_heads import Head, LinearHead, NetworkHead
from twofold.components.export.saved_model.knn_head import NeighbourHead
from twofold.components.export.saved_model.module import save_encoder
from twofold.components.transforms.decode import DecodeRule, decode_images
from twofold.components.transforms.views import to_unit_range

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
    signatures = save_encoder(directory, encoder, RULE, head)
    assert signatures == (
        "classify",
        "classify_examples",
        "classify_tta",
        "embed",
        "embed_bytes",
        "serving_default",
    )
    return directory


@pytest.fixture(scope="module")
def without_head(encoder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("without_head") / "1"
    signatures = save_encoder(directory, encoder, RULE, None)
    assert signatures == ("embed", "embed_bytes", "serving_default")
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

    assert set(answer) == {"embedding", "logits", "probabilities", "class_names"}
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


def weight_bytes(*networks):
    return sum(4 * np.prod(weight.shape) for network in networks for weight in network.weights)


def variable_bytes(directory):
    return sum(path.stat().st_size for path in (directory / "variables").iterdir())


def test_the_weights_are_stored_once(encoder, with_head):
    weights = weight_bytes(encoder)
    assert weights > 250_000

    assert weights < variable_bytes(with_head) < 1.1 * weights
    # Nor are they constants of the graph.
    assert (with_head / "saved_model.pb").stat().st_size < weights


@pytest.fixture(scope="module")
def several(encoder, head, tmp_path_factory):
    """A model with a head of every kind, one of which has an encoder of its own."""
    directory = tmp_path_factory.mktemp("several") / "1"
    random = np.random.default_rng(2)
    other = build_encoder("core", (32, 28, 1), seed=1, units=(400, 16))
    heads: dict[str, Head] = {
        "probe": LinearHead(head.weights[:, ::-1].copy(), head.bias),
        "knn": NeighbourHead(
            random.normal(size=(300, 24)).astype(np.float32), random.integers(0, 3, 300), 3
        ),
        "tuned": NetworkHead(build_linear_head(16, 3, seed=1), other),
        "own": NetworkHead(build_linear_head(24, 3, seed=2)),
    }
    save_encoder(directory, encoder, RULE, head, class_names=["a", "b", "c"], heads=heads)
    return directory, heads


def test_several_heads_store_each_weight_once(encoder, several):
    directory, heads = several
    weights = weight_bytes(encoder, heads["tuned"].encoder) + 300 * (24 * 4 + 8 + 4)

    assert weights < variable_bytes(directory) < 1.1 * weights


@pytest.mark.parametrize("name", ["probe", "knn", "own"])
def test_a_further_head_answers_beside_the_models_own_embedding(name, several, files, embeddings):
    directory, heads = several

    answer = ask(directory, f"classify_{name}", image_bytes=files)

    np.testing.assert_allclose(answer["embedding"], embeddings, atol=1e-5)
    logits = heads[name].build().logits(tf.constant(answer["embedding"]))
    np.testing.assert_allclose(answer["probabilities"], tf.nn.softmax(logits), atol=1e-5)
    assert answer["class_names"].tolist() == [[b"a", b"b", b"c"]] * 4


def test_a_fine_tuned_head_answers_by_an_encoder_of_its_own(several, files, images):
    directory, heads = several

    answer = ask(directory, "classify_tuned", image_bytes=files)

    features = heads["tuned"].encoder(to_unit_range(images), training=False)
    np.testing.assert_allclose(answer["embedding"], features, atol=1e-5)
    np.testing.assert_allclose(answer["logits"], heads["tuned"].network(features), atol=1e-4)


def test_the_fingerprint_is_that_of_the_graph_as_it_is(with_head, tmp_path):
    shutil.copy(with_head / "saved_model.pb", tmp_path)

    fingerprinting_utils.write_fingerprint(str(tmp_path))

    anew, written = (
        tf.saved_model.experimental.read_fingerprint(str(path)) for path in (tmp_path, with_head)
    )
    assert written.saved_model_checksum == anew.saved_model_checksum
    assert written.signature_def_hash == anew.signature_def_hash


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": {"Fine Tuned": None}}, "received 'Fine Tuned'"),
        ({"heads": {"tta": None}}, "not examples or tta, received 'tta'"),
        ({"class_names": ["a"]}, "the default head has 3 classes, but there are 1 names"),
        ({"head": None, "heads": {"b": None, "a": None}}, "the heads a, b need a default head"),
    ],
)
def test_heads_that_cannot_be_exported_are_refused(arguments, message, encoder, head, tmp_path):
    with pytest.raises(ExportError, match=message):
        save_encoder(tmp_path / "1", encoder, RULE, **({"head": head} | arguments))
    assert not (tmp_path / "1").exists()


def test_a_head_of_other_features_is_refused(encoder, head, tmp_path):
    narrow = LinearHead(head.weights[:5], head.bias)

    with pytest.raises(ExportError, match=r"the head x takes features of width 5.*gives 24"):
        save_encoder(tmp_path / "1", encoder, RULE, head, heads={"x": narrow})


def test_the_default_head_has_no_encoder_of_its_own(encoder, head, tmp_path):
    other = build_encoder("core", (32, 28, 1), seed=1, units=(400, 24))

    with pytest.raises(ExportError, match="expected one without an encoder of its own"):
        save_encoder(tmp_path / "1", encoder, RULE, LinearHead(head.weights, head.bias, other))


@pytest.mark.parametrize(
    ("weights", "bias", "message"),
    [
        (np.ones((2, 3)), np.ones(2), r"received \(2, 3\) and \(2,\)"),
        (np.ones(3), np.ones(3), r"received \(3,\) and \(3,\)"),
        (np.full((2, 3), np.inf), np.ones(3), "must be finite"),
    ],
)
def test_a_linear_head_that_cannot_be_is_refused(weights, bias, message):
    with pytest.raises(ExportError, match=message):
        LinearHead(weights, bias)


def test_bytes_that_are_no_image_are_an_invalid_argument(with_head, files):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG file"):
        ask(with_head, "serving_default", image_bytes=[files[0], b"text"])
