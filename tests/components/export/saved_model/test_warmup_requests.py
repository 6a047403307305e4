import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from tests.exported import FILES, IMAGES, save_tiny
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.signature_contract import read_contract
from twofold.components.export.saved_model.warmup_requests import (
    WARMUP_FILE,
    WarmupRequest,
    example_inputs,
    read_warmup_requests,
    warmup_requests,
    write_warmup_requests,
)

_Field = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "1")


@pytest.fixture(scope="module")
def prediction_log():
    """The message as TensorFlow Serving's own files declare it, where it is read."""
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto(
        name="wrappers.proto", package="google.protobuf", syntax="proto3"
    )
    number = wrappers.message_type.add(name="Int64Value")
    number.field.add(name="value", number=1, type=_Field.TYPE_INT64, label=1)
    pool.Add(wrappers)
    waiting, files = [tensor_pb2.DESCRIPTOR], []
    while waiting:
        file = waiting.pop()
        files.append(file)
        waiting += list(file.dependencies)
    known = set()
    for file in reversed(files):
        if file.name not in known:
            known.add(file.name)
            copied = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(copied)
            pool.Add(copied)
    own = descriptor_pb2.FileDescriptorProto(
        name="apis.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=["wrappers.proto", tensor_pb2.DESCRIPTOR.name],
    )

    def add(message, name, number, kind, of=None, label=_Field.LABEL_OPTIONAL, oneof=None):
        field = message.field.add(name=name, number=number, type=kind, label=label, type_name=of)
        if oneof is not None:
            field.oneof_index = oneof

    message, string = _Field.TYPE_MESSAGE, _Field.TYPE_STRING
    spec = own.message_type.add(name="ModelSpec")
    spec.oneof_decl.add(name="version_choice")
    add(spec, "name", 1, string)
    add(spec, "version", 2, message, ".google.protobuf.Int64Value", oneof=0)
    add(spec, "signature_name", 3, string)
    add(spec, "version_label", 4, string, oneof=0)
    request = own.message_type.add(name="PredictRequest")
    add(request, "model_spec", 1, message, ".tensorflow.serving.ModelSpec")
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, string)
    add(entry, "value", 2, message, ".tensorflow.TensorProto")
    repeated = _Field.LABEL_REPEATED
    inputs = ".tensorflow.serving.PredictRequest.InputsEntry"
    add(request, "inputs", 2, message, inputs, label=repeated)
    add(request, "output_filter", 3, string, label=repeated)
    predict = own.message_type.add(name="PredictLog")
    add(predict, "request", 1, message, ".tensorflow.serving.PredictRequest")
    log = own.message_type.add(name="PredictionLog")
    log.oneof_decl.add(name="log_type")
    add(log, "predict_log", 6, message, ".tensorflow.serving.PredictLog", oneof=0)
    pool.Add(own)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.PredictionLog")
    )


def records_of(path):
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def array_of(tensor):
    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor.SerializeToString()))


def test_the_file_is_what_tensorflow_serving_reads(version, prediction_log, tmp_path):
    inputs = example_inputs(FILES, IMAGES)
    requests = warmup_requests(read_contract(version), inputs, batch_sizes=(1, 2))

    path = write_warmup_requests(tmp_path, requests, model_name="photos")

    assert path == tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for record in records_of(path):
        log = prediction_log.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "photos"
        assert request.model_spec.WhichOneof("version_choice") is None
        # Nothing but declared fields.
        assert log.SerializeToString(deterministic=True) == record
        asked.append((request.model_spec.signature_name, dict(request.inputs)))
    assert [(name, sorted(tensors)) for name, tensors in asked] == [
        ("embed", ["images"]),
        ("embed", ["images"]),
        ("serving_default", ["image_bytes"]),
        ("serving_default", ["image_bytes"]),
    ]
    np.testing.assert_array_equal(array_of(asked[1][1]["images"]), IMAGES[:2])
    assert list(array_of(asked[3][1]["image_bytes"])) == FILES[:2]


def test_the_file_replays_against_the_model(version, tmp_path):
    requests = warmup_requests(read_contract(version), example_inputs(FILES, IMAGES))
    write_warmup_requests(tmp_path, requests)
    model = tf.saved_model.load(str(version))

    answers = {
        request.signature: model.signatures[request.signature](
            **{name: tf.constant(array) for name, array in request.inputs.items()}
        )
        for request in read_warmup_requests(tmp_path)
    }

    assert set(answers) == {"embed", "serving_default"}
    np.testing.assert_array_equal(
        answers["embed"]["embedding"], answers["serving_default"]["embedding"]
    )
    assert answers["embed"]["embedding"].shape == (3, 3)


def test_equal_requests_give_equal_bytes(version, tmp_path):
    requests = warmup_requests(read_contract(version), example_inputs(FILES, IMAGES))

    one, other = (write_warmup_requests(tmp_path / name, requests) for name in "ab")

    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in one.parent.iterdir()] == [WARMUP_FILE]


def test_what_is_read_is_what_was_written(tmp_path):
    inputs = {"seed": np.array([3, 4]), "x": np.array([[0.5]], np.float32)}
    inputs["text"] = np.array([b"\0a\0", b""], object)

    write_warmup_requests(tmp_path, [WarmupRequest("one", inputs)])

    (request,) = read_warmup_requests(tmp_path)
    assert request.signature == "one"
    assert set(request.inputs) == set(inputs)
    for name, array in inputs.items():
        assert request.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(request.inputs[name], array)


def test_every_input_of_an_exported_encoder_has_an_example():
    inputs = example_inputs(FILES, IMAGES, example_feature="file")

    assert sorted(inputs) == ["image_bytes", "images", "inputs", "seed", "views"]
    assert {len(array) for array in inputs.values()} == {3}
    feature = {"file": tf.io.FixedLenFeature([], tf.string)}
    parsed = tf.io.parse_example(inputs["inputs"], feature)
    assert list(parsed["file"].numpy()) == FILES


def test_a_batch_larger_than_the_images_takes_all_of_them(version):
    requests = warmup_requests(read_contract(version), example_inputs(FILES, IMAGES), (1, 8, 64))

    sizes = [len(array) for request in requests for array in request.inputs.values()]
    assert sizes == [1, 3, 1, 3]


def test_questions_that_no_signature_takes_are_refused(version):
    with pytest.raises(ValueError, match=r"their inputs are \['image_bytes', 'images'\]"):
        warmup_requests(read_contract(version), {"text": np.zeros(2)})
    with pytest.raises(ValueError, match=r"arrays of one length, at least 1, received \[2, 3\]"):
        warmup_requests(read_contract(version), {"text": np.zeros(2), "images": IMAGES})
    with pytest.raises(ValueError, match="received 2 and 3"):
        example_inputs(FILES[:2], IMAGES)


@pytest.mark.parametrize("count", [0, 1001])
def test_more_requests_than_tensorflow_serving_takes_are_refused(tmp_path, count):
    request = WarmupRequest("embed", {"images": IMAGES})

    with pytest.raises(ValueError, match=f"takes 1 to 1000 warmup requests, received {count}"):
        write_warmup_requests(tmp_path, [request] * count)


def test_a_damaged_file_is_named(tmp_path):
    path = write_warmup_requests(tmp_path, [WarmupRequest("embed", {"images": IMAGES})])
    assert read_warmup_requests(tmp_path / "elsewhere") == []
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)

    with pytest.raises(ExportedModelError, match="tf_serving_warmup_requests is damaged"):
        read_warmup_requests(tmp_path)
