"""What each signature of a saved model answers, asked in TensorFlow Serving's loader."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from twofold.components import keyed_random
from twofold.components.encoders.build import build_encoder
from twofold.components.export.saved_model.classifier_heads import LinearHead
from twofold.components.export.saved_model.module import save_encoder
from twofold.components.export.saved_model.signatures import evaluation_view
from twofold.components.transforms.decode import DecodeRule, decode_images
from twofold.components.transforms.policies import build_policy
from twofold.components.transforms.views import make_views, to_unit_range

RULE = DecodeRule(16, 16, 3)
NAMES = ["chat noir", "日本", "c"]
VIEWS = build_policy("simclr_strong"), build_policy("nnclr")


def training_views(images, keys):
    return tf.unstack(make_views(VIEWS, images, keys), num=2)


def probabilities_of(encoder, head, pixels):
    features = encoder(pixels, training=False)
    return tf.nn.softmax(tf.matmul(features, head.weights) + head.bias).numpy()


@pytest.fixture(scope="module")
def encoder():
    return build_encoder("core", (16, 16, 3), seed=0)


@pytest.fixture(scope="module")
def head(encoder):
    random = np.random.default_rng(0)
    width = encoder.output_shape[-1]
    # Probabilities far from 0 and 1.
    return LinearHead(0.3 * random.normal(size=(width, 3)).astype(np.float32), np.zeros(3, "f4"))


@pytest.fixture(scope="module")
def version(encoder, head, tmp_path_factory):
    directory = tmp_path_factory.mktemp("model") / "1"
    save_encoder(directory, encoder, RULE, head, class_names=NAMES, views=training_views)
    return directory


@pytest.fixture(scope="module")
def files():
    random = np.random.default_rng(1)
    contents = []
    for _ in range(5):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (20, 16, 3), np.uint8)).save(file, "PNG")
        contents.append(file.getvalue())
    return contents


@pytest.fixture(scope="module")
def images(files):
    return decode_images(tf.constant(files), RULE).numpy()


@pytest.fixture(scope="module")
def ask(version):
    """Asks a signature; the model is loaded once."""
    graph = tf.Graph()
    with graph.as_default():
        session = tf.compat.v1.Session(graph=graph)
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(version))

    def call(signature, **inputs):
        definition = meta_graph.signature_def[signature]
        return session.run(
            {name: info.name for name, info in definition.outputs.items()},
            {definition.inputs[name].name: value for name, value in inputs.items()},
        )

    yield call
    session.close()


def keys_of(seed, key_hashes):
    step = tf.constant(0, tf.int64)
    return keyed_random.image_keys(seed, step, tf.constant(key_hashes, tf.int64))


def test_class_names_come_with_every_row(ask, files):
    answer = ask("classify", image_bytes=files)

    decoded = [[name.decode() for name in row] for row in answer["class_names"]]
    assert decoded == [NAMES] * 5


def test_the_default_signature_is_classify(ask, files):
    first, second = (ask(name, image_bytes=files) for name in ("serving_default", "classify"))

    assert first.keys() == second.keys()
    np.testing.assert_array_equal(first["logits"], second["logits"])


def test_files_and_their_pixels_give_the_same_bits(ask, files, images):
    by_bytes = ask("embed_bytes", image_bytes=files)["embedding"]

    np.testing.assert_array_equal(by_bytes, ask("embed", images=images)["embedding"])


def test_augmentation_with_one_seed_is_that_of_training_at_step_0(ask, images):
    answer = ask("augment", images=images, seed=7)

    keys = keys_of(7, np.arange(5))
    expected = [view.numpy() for view in tf.function(training_views)(images, keys)]
    np.testing.assert_allclose(answer["view_1"], expected[0], atol=1e-6)
    np.testing.assert_allclose(answer["view_2"], expected[1], atol=1e-6)
    assert np.abs(answer["view_1"] - answer["view_2"]).mean() > 0.01


def test_augmentation_with_a_seed_for_each_image_does_not_depend_on_the_batch(ask, images):
    seeds = np.array([5, 2**32 - 1, 0, 5, 9])

    answer = ask("augment", images=images, seed=seeds)

    for row, seed in enumerate(seeds.tolist()):
        alone = ask("augment", images=images[row : row + 1], seed=[seed])
        expected = training_views(images[row : row + 1], keys_of(seed, [0]))
        for name, view in zip(("view_1", "view_2"), expected, strict=True):
            np.testing.assert_allclose(alone[name], view, atol=1e-5)
            np.testing.assert_allclose(answer[name][row : row + 1], view, atol=1e-5)


def test_an_empty_batch_is_augmented_to_nothing(ask):
    answer = ask("augment", images=np.zeros((0, 16, 16, 3), np.uint8), seed=0)

    assert answer["view_1"].shape == (0, 16, 16, 3)


def test_one_view_of_test_time_augmentation_is_the_image_as_it_is(ask, files):
    answer = ask("classify_tta", image_bytes=files, views=1, seed=3)

    plain = ask("classify", image_bytes=files)
    assert set(answer) == {"probabilities", "class_names"}
    np.testing.assert_allclose(answer["probabilities"], plain["probabilities"], atol=1e-6)


def test_test_time_augmentation_is_the_mean_over_views_by_seed_and_file(
    ask, encoder, head, files, images
):
    answer = ask("classify_tta", image_bytes=files, views=3, seed=3)["probabilities"]

    pixels = to_unit_range(images)
    keys = keys_of(3, tf.strings.to_hash_bucket_fast(files, 2**63 - 1).numpy())
    seen = [pixels, *(evaluation_view()(pixels, keyed_random.fold_in(keys, n)) for n in (1, 2))]
    expected = np.mean([probabilities_of(encoder, head, view) for view in seen], axis=0)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)
    again = ask("classify_tta", image_bytes=files[::-1], views=3, seed=3)["probabilities"]
    np.testing.assert_allclose(again[::-1], answer, atol=1e-5)
    other = ask("classify_tta", image_bytes=files, views=3, seed=4)["probabilities"]
    assert np.abs(other - answer).max() > 1e-4


def test_each_image_may_have_its_own_number_of_views_and_seed(ask, files):
    answer = ask("classify_tta", image_bytes=files[:3], views=[1, 4, 2], seed=[0, 5, 6])

    for row, (views, seed) in enumerate([(1, 0), (4, 5), (2, 6)]):
        alone = ask("classify_tta", image_bytes=files[row : row + 1], views=views, seed=seed)
        np.testing.assert_allclose(
            answer["probabilities"][row], alone["probabilities"][0], atol=1e-5
        )


@pytest.mark.parametrize(
    ("signature", "changes", "message"),
    [
        ("classify_tta", {"views": 0}, "expected views of 1 to 64"),
        ("classify_tta", {"views": 65}, "expected views of 1 to 64"),
        ("classify_tta", {"views": [1, 1]}, "expected views to be one number or one for each"),
        ("classify_tta", {"views": [[1]] * 5}, "expected views to be one number or one for each"),
        ("classify_tta", {"seed": -1}, "expected seed of 0 to 4294967295"),
        ("augment", {"seed": 2**32}, "expected seed of 0 to 4294967295"),
        ("augment", {"seed": [1, 2, 3]}, "expected seed to be one number or one for each"),
        ("augment", {"seed": [[1]] * 5}, "expected seed to be one number or one for each"),
    ],
)
def test_numbers_out_of_range_or_of_another_shape_are_invalid_arguments(
    signature, changes, message, ask, files, images
):
    whole = {"augment": {"images": images, "seed": 0}}.get(
        signature, {"image_bytes": files, "views": 2, "seed": 0}
    )

    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(signature, **(whole | changes))


def example(**features):
    values = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def test_examples_are_classified_as_tensorflow_serving_asks(version, ask, files):
    saved_model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    definition = saved_model.meta_graphs[0].signature_def["classify_examples"]
    # What its Classify insists on.
    assert definition.method_name == "tensorflow/serving/classify"
    assert list(definition.inputs) == ["inputs"]
    assert definition.inputs["inputs"].dtype == tf.string.as_datatype_enum
    assert set(definition.outputs) == {"classes", "scores"}
    others = {
        other.method_name
        for name, other in saved_model.meta_graphs[0].signature_def.items()
        if name not in ("classify_examples", "__saved_model_init_op")
    }
    assert others == {"tensorflow/serving/predict"}

    answer = ask("classify_examples", inputs=[example(image=one, key=b"k") for one in files])

    np.testing.assert_allclose(
        answer["scores"], ask("classify", image_bytes=files)["probabilities"], atol=1e-6
    )
    assert answer["classes"].tolist() == [[name.encode() for name in NAMES]] * 5


@pytest.mark.parametrize("record", [b"no example", example(picture=b"x"), example(image=b"text")])
def test_an_example_without_an_image_is_an_invalid_argument(record, ask, files):
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask("classify_examples", inputs=[example(image=files[0]), record])


def test_python_loads_and_asks_every_signature(version, files, images):
    loaded = tf.saved_model.load(str(version)).signatures

    some = {"image_bytes": tf.constant(files)}
    seeded = {"seed": tf.constant(1, tf.int64)}
    assert loaded["classify"](**some)["logits"].shape == (5, 3)
    assert loaded["augment"](images=tf.constant(images), **seeded)["view_2"].shape == (5, 16, 16, 3)
    tta = loaded["classify_tta"](**some, views=tf.constant(2, tf.int64), **seeded)
    assert tta["probabilities"].shape == (5, 3)
    records = tf.constant([example(image=one) for one in files])
    assert loaded["classify_examples"](inputs=records)["scores"].shape == (5, 3)


_ASK_WITH_WRONG_SHAPES = """
import json, sys
import numpy as np
from twofold.components.export.proof.proof_c_api import Model, TensorFlowError

library, version, names = sys.argv[1:]
model = Model(library, version, json.loads(names))
image, text = np.zeros((16, 16, 3), np.uint8), np.array(b"one", object)
number = np.array(0)
for signature, output, inputs in [
    ("embed", "embedding", {"images": image}),
    ("embed", "embedding", {"images": image[None, None]}),
    ("embed", "embedding", {"images": image[None, :, :9]}),
    ("embed", "embedding", {"images": np.zeros((), np.uint8)}),
    ("embed", "embedding", {"images": image[None].astype(np.float32)}),
    ("augment", "view_1", {"images": image, "seed": number}),
    ("augment", "view_1", {"images": image[None], "seed": number[None, None]}),
    *((name, "embedding", {"image_bytes": value})
      for name in ("serving_default", "classify", "embed_bytes")
      for value in (text, text[None, None])),
    ("classify_tta", "probabilities", {"image_bytes": text, "views": number, "seed": number}),
    ("classify_examples", "scores", {"inputs": text}),
    ("classify_examples", "scores", {"inputs": text[None, None]}),
]:
    try:
        model.ask(signature, output, **inputs)
    except TensorFlowError as error:
        print(error.code)
print("alive")
"""


def test_wrong_shapes_and_types_are_invalid_arguments_and_do_not_end_the_process(version):
    """Asked by the C API, since the ways of Python check shapes and types, which no server does."""
    saved_model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    names = {
        name: {
            "inputs": {key: info.name for key, info in definition.inputs.items()},
            "outputs": {key: info.name for key, info in definition.outputs.items()},
        }
        for name, definition in saved_model.meta_graphs[0].signature_def.items()
    }
    (library,) = Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc*")

    finished = subprocess.run(
        [sys.executable, "-c", _ASK_WITH_WRONG_SHAPES, library, version, json.dumps(names)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    # TF_INVALID_ARGUMENT of TensorFlow's tf_status.h.
    assert finished.stdout.split("\n")[:-1] == ["3"] * 16 + ["alive"]
