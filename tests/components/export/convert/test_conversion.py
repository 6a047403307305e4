"""Conversions of a real encoder, each file run by its own runtime."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import forked
from twofold.components.encoders.build import build_encoder
from twofold.components.errors import ConversionError
from twofold.components.export.convert import convert_litert, convert_onnx, convert_process
from twofold.components.export.convert.compare_outputs import Tolerances
from twofold.components.export.convert.conversion import FORMATS, convert
from twofold.components.export.saved_model.module import LinearHead, save_encoder
from twofold.components.transforms.decode import DecodeRule
from twofold.components.transforms.views import to_unit_range

SIZE = (32, 32, 3)
RULE = DecodeRule(*SIZE)


def draw_images(count, seed):
    """Blobs of varied colour and place, so that embeddings differ, under a little noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    centres = random.uniform(4, 28, (count, 2, 1, 1))
    distance = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    blobs = np.exp(-distance / random.uniform(10, 150, (count, 1, 1)))[..., None]
    pictures = 230 * blobs * random.uniform(0, 1, (count, 1, 1, 3))
    return (pictures + random.uniform(0, 20, pictures.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def encoder():
    encoder = build_encoder("core", SIZE, seed=0)
    random = np.random.default_rng(0)
    for layer in encoder.layers:
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(random.uniform(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.01, 0.1, layer.moving_variance.shape))
    return encoder


@pytest.fixture(scope="module")
def head():
    random = np.random.default_rng(1)
    return LinearHead(
        random.normal(size=(84, 5)).astype(np.float32), random.normal(size=5).astype(np.float32)
    )


@pytest.fixture(scope="module")
def saved_model(encoder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved_model") / "1"
    save_encoder(directory, encoder, RULE, None)
    return directory


@pytest.fixture(scope="module")
def images():
    return draw_images(70, seed=2)


@pytest.fixture(scope="module")
def embeddings(encoder, images):
    return np.asarray(encoder(to_unit_range(images), training=False))


@pytest.fixture(scope="module")
def logits(embeddings, head):
    return embeddings @ head.weights + head.bias


@pytest.fixture(scope="module")
def converted(saved_model, images, head, logits, tmp_path_factory):
    """All formats, with labels of which the original gets all but the first four right."""
    labels = logits.argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 5
    found = convert(
        saved_model,
        list(FORMATS),
        tmp_path_factory.mktemp("converted"),
        images,
        labels=labels,
        head=head,
        calibration_images=draw_images(40, seed=3),
    )
    return {one.format: one for one in found}


@pytest.fixture
def fresh_processes(monkeypatch):
    """Converts in processes that have imported nothing, as the product does."""
    monkeypatch.setattr(convert_process, "subprocess", subprocess)


@pytest.fixture(autouse=True, scope="module")
def _forked_processes():
    """Converts in processes that need not import TensorFlow anew, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert_process, "subprocess", forked)
        yield


def graph_model(directory, features):
    """Saves an ``embed`` of a given function of images in [0, 1]."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, *SIZE], tf.uint8, "images")])
    def embed(images):
        return {"embedding": features(to_unit_range(images))}

    tf.saved_model.save(module, str(directory), signatures={"embed": embed})
    return directory


def antialiased(images):
    return tf.reduce_mean(tf.image.resize(images, (8, 8), antialias=True), axis=3)[:, 0]


def assert_nothing_in(directory):
    assert list(directory.glob("**/*")) == []


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_a_float32_file_answers_as_the_model_for_any_batch_size(
    converted, name, images, embeddings, logits
):
    run = {"onnx": convert_onnx, "litert": convert_litert}[name].answer

    for count in (1, 3, 70):
        answers = run(converted[name].path, images[:count])

        assert set(answers) == {"embedding", "logits", "probabilities"}
        scale = np.abs(embeddings).max()
        np.testing.assert_allclose(answers["embedding"], embeddings[:count], atol=1e-5 * scale)
        np.testing.assert_allclose(answers["logits"], logits[:count], atol=1e-4 * scale)
        powers = np.exp(logits[:count] - logits[:count].max(axis=1, keepdims=True))
        np.testing.assert_allclose(
            answers["probabilities"], powers / powers.sum(axis=1, keepdims=True), atol=1e-4
        )


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_a_float32_file_is_reported_with_what_was_measured(converted, name):
    one = converted[name]

    assert one.bytes == one.path.stat().st_size
    assert 0 < one.largest_difference < 1e-5
    assert one.mean_cosine == pytest.approx(1)
    assert one.mean_centred_cosine == pytest.approx(1)
    assert (one.accuracy, one.accuracy_drop, one.images) == (66 / 70, 0, 70)
    assert one.runtime_version.split()[0] == FORMATS[name].runtime
    assert one.converter_version.split()[0] == FORMATS[name].converter


@pytest.mark.parametrize("name", ["litert_dynamic", "litert_int8"])
def test_a_quantised_file_is_small_and_its_loss_is_stated(converted, name, images, logits):
    one = converted[name]
    answers = convert_litert.answer(one.path, images)

    assert one.bytes < 0.5 * converted["litert"].bytes
    assert one.largest_difference > 1e-4
    assert 0.9 < one.mean_centred_cosine < 1
    assert answers["embedding"].dtype == np.float32
    labels = logits.argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 5
    assert one.accuracy == pytest.approx((answers["logits"].argmax(axis=1) == labels).mean())
    assert one.accuracy_drop == pytest.approx(66 / 70 - one.accuracy)


def test_openvino_reads_the_onnx_file(converted, images, embeddings):
    openvino = pytest.importorskip("openvino")
    # Where the processor has bfloat16 it would compute in that.
    model = openvino.Core().compile_model(
        str(converted["onnx"].path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    answer = model({"images": images})["embedding"]

    np.testing.assert_allclose(answer, embeddings, atol=1e-5 * np.abs(embeddings).max())


@pytest.mark.usefixtures("fresh_processes")
def test_without_a_head_there_is_only_the_embedding_and_earlier_files_are_replaced(
    saved_model, images, tmp_path
):
    (tmp_path / "encoder.onnx").write_bytes(b"earlier")

    (one,) = convert(saved_model, ["onnx"], tmp_path, images)

    assert set(convert_onnx.answer(one.path, images)) == {"embedding"}
    assert (one.accuracy, one.accuracy_drop) == (None, None)
    assert list(tmp_path.iterdir()) == [tmp_path / "encoder.onnx"]


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_operations_that_the_runtime_lacks_are_named_and_no_file_is_left(name, tmp_path, images):
    model = graph_model(tmp_path / "1", antialiased)
    out = tmp_path / "out"

    with pytest.raises(ConversionError, match=r"cannot be converted: .*: ScaleAndTranslate$"):
        convert(model, [name], out, images)

    assert_nothing_in(out)


def test_zeros_around_a_maximum_of_negative_values_stay_zeros(tmp_path, images):
    """ONNX Runtime takes padding before a maximum for -infinity, whatever it is."""

    def features(images):
        padded = tf.pad(-images - 1, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return tf.reshape(tf.nn.max_pool2d(padded, 3, 2, "VALID"), [-1, 16 * 16 * 3])

    model = graph_model(tmp_path / "1", features)

    (one,) = convert(model, ["onnx"], tmp_path / "out", images)

    assert one.largest_difference < 1e-6


def test_operations_within_branches_are_found(tmp_path):
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    inner = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Lgamma", ["x"], ["z"]),
            onnx.helper.make_node("Relu", ["z"], ["w"]),
            onnx.helper.make_node("Gelu", ["w"], ["y"], domain="com.microsoft"),
        ],
        "inner",
        [],
        [value],
    )
    choice = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    inputs = [
        onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
        onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1]),
    ]
    graph = onnx.helper.make_graph([choice], "outer", inputs, [value])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "file"))

    found = convert_onnx.foreign_operations(tmp_path / "file")

    assert found == ["Lgamma", "com.microsoft.Gelu"]


def test_a_litert_file_without_its_weights_is_told_by_its_operations(encoder, tmp_path):
    module = tf.Module()
    module.encoder = encoder

    @tf.function(input_signature=[tf.TensorSpec([None, *SIZE], tf.uint8, "images")])
    def answer(images):
        return {"embedding": encoder(to_unit_range(images), training=False)}

    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": answer})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "1"))
    (tmp_path / "file").write_bytes(converter.convert())

    assert convert_litert.foreign_operations(tmp_path / "file") == ["READ_VARIABLE", "VAR_HANDLE"]


def test_custom_operations_of_a_litert_file_are_named(tmp_path):
    model = graph_model(
        tmp_path / "1", lambda images: tf.reduce_mean(tf.image.adjust_hue(images, 0.1), [1, 2])
    )
    converter = tf.lite.TFLiteConverter.from_saved_model(str(model), signature_keys=["embed"])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    (tmp_path / "file").write_bytes(converter.convert())

    assert convert_litert.foreign_operations(tmp_path / "file") == ["FlexAdjustHue"]


def test_a_file_that_does_not_answer_as_the_model_is_refused_and_none_is_left(
    saved_model, images, tmp_path
):
    strict = dataclasses.replace(Tolerances(), quantised_cosine=0.999999)

    with pytest.raises(ConversionError, match=r"encoder_dynamic.tflite does not .* centred cosine"):
        convert(saved_model, ["litert", "litert_dynamic"], tmp_path, images, tolerances=strict)

    assert_nothing_in(tmp_path)


def test_a_missing_package_is_named_with_how_to_install_it(
    saved_model, images, tmp_path, monkeypatch
):
    # None here is how Python notes that a module cannot be imported.
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ConversionError, match=r"onnxruntime is not.*'twofold\[runtimes\]'"):
        convert(saved_model, ["onnx"], tmp_path / "out", images)

    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fresh_processes")
def test_a_process_that_crashes_is_one_line(tmp_path):
    (tmp_path / "crash.py").write_text(
        "import os, sys\n\n"
        "def write(*arguments):\n    print('about to fall', file=sys.stderr, flush=True)\n"
        "    os.abort()\n"
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ConversionError) as caught:
            convert_process.write("crash", tmp_path, "f", "float32", None)

    assert str(caught.value) == (
        "f cannot be converted: the process was ended by SIGABRT: about to fall"
    )


def test_arguments_that_do_not_fit_are_refused(saved_model, images, head, tmp_path):
    labels = np.zeros(len(images), int)
    cases = [
        (["tflite"], images, {}, "unknown format 'tflite': expected some of onnx"),
        ([], images, {}, "expected formats"),
        (["onnx", "onnx"], images, {}, "each once"),
        (["onnx"], images.astype(np.float32), {}, r"must be uint8 \[N, 32, 32, 3\].*float32"),
        (["onnx"], images[:, :30], {}, r"received uint8 \[70, 30, 32, 3\]"),
        (["onnx"], images[:0], {}, "holds no image"),
        (["litert_int8"], images, {}, "needs calibration_images"),
        (["litert_int8"], images, {"calibration_images": images[0]}, "calibration_images must be"),
        (["onnx"], images, {"labels": labels}, "expected a head"),
        (["onnx"], images, {"labels": labels[1:], "head": head}, r"labels must be integers \[70\]"),
        (["onnx"], images, {"labels": labels + 5, "head": head}, r"labels must be in 0\.\.4"),
        (
            ["onnx"],
            images,
            {"head": LinearHead(head.weights[1:], head.bias)},
            r"weights \[84, K\].*\[83, 5\]",
        ),
    ]
    for formats, sample, options, message in cases:
        with pytest.raises(ValueError, match=message):
            convert(saved_model, formats, tmp_path, sample, **options)
    assert_nothing_in(tmp_path)


def test_what_is_no_model_of_pixels_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match=r"is no SavedModel: expected saved_model.pb"):
        convert(tmp_path, ["onnx"], tmp_path / "out", images)

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def classify(image_bytes):
        return {"scores": tf.strings.length(image_bytes)}

    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"classify": classify})
    with pytest.raises(ValueError, match="no signature 'embed', which takes pixels, but classify"):
        convert(tmp_path / "1", ["onnx"], tmp_path / "out", images)
