import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twofold.serving.codec import decode_predict, encode_predict
from twofold.serving.signature import Signature, TensorInfo
from twofold.serving.status_codes import Code, ServingError

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float32")


def signature(**dtypes):
    infos = {name: TensorInfo(name, dtype, None) for name, dtype in dtypes.items()}
    return Signature("serving_default", inputs=infos, outputs={})


def decode(body, max_instances=100, **dtypes):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_predict(data, lambda name: signature(**dtypes), max_instances=max_instances)


def error_of(body, **arguments):
    with pytest.raises(ServingError) as caught:
        decode(body, **arguments)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


def in_element(index, message, key=""):
    return (
        f"Failed to process element: {index}{key} of 'instances' list. "
        f"Error: INVALID_ARGUMENT: {message}"
    )


def test_rows_of_one_input_may_be_bare_or_named():
    for instances in ([[1, 2], [3, 4]], [{"x": [1, 2]}, {"x": [3, 4]}]):
        request = decode({"instances": instances}, x="int32")
        assert request.is_row
        assert request.signature_name == "serving_default"
        np.testing.assert_array_equal(request.inputs["x"], np.array([[1, 2], [3, 4]], np.int32))
        assert request.inputs["x"].dtype == np.int32


def test_columns_of_one_input_may_be_bare_or_named():
    for inputs in ([[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]], "ignored": 5}):
        request = decode({"inputs": inputs}, x="float32")
        assert not request.is_row
        np.testing.assert_array_equal(request.inputs["x"], np.array([[1, 2], [3, 4]], np.float32))


def test_a_byte_order_mark_is_skipped():
    assert decode(b'\xef\xbb\xbf{"inputs": [1]}', x="int32").inputs["x"].tolist() == [1]


def test_strings_are_text_or_base64():
    request = decode({"instances": ["hé", {"b64": "//8="}]}, x="string")
    assert request.inputs["x"].tolist() == ["hé".encode(), b"\xff\xff"]
    request = decode({"inputs": {"x": {"b64": "aGVsbG8="}}}, x="string")
    assert request.inputs["x"].shape == ()
    assert request.inputs["x"].item() == b"hello"


def test_several_named_inputs_of_several_types():
    rows = b"""{"instances": [
        {"i": [[1,2],[3,4]], "s": ["foo", "bar"], "f": [1.0, NaN], "d": [-Infinity]},
        {"i": [[7,8],[9,0]], "s": ["baz", "bat"], "f": [2.0, Infinity], "d": [2]}]}"""
    inputs = decode(rows, i="int32", s="string", f="float32", d="float64").inputs
    assert inputs["i"].shape == (2, 2, 2)
    assert inputs["s"].tolist() == [[b"foo", b"bar"], [b"baz", b"bat"]]
    np.testing.assert_array_equal(inputs["f"], np.array([[1, np.nan], [2, np.inf]], np.float32))
    np.testing.assert_array_equal(inputs["d"], np.array([[-np.inf], [2]]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"  \n", "JSON Parse error: The document is empty. at offset: 3"),
        (b"abc", "JSON Parse error: Invalid value. at offset: 0"),
        ('{"é": x}'.encode(), "JSON Parse error: Invalid value. at offset: 7"),
        (b'{"a": "\xff"}', "JSON Parse error: Invalid encoding in string. at offset: 7"),
        (b'{"instances": ' + b"[" * 100_000, "JSON Parse error: The document is nested too deeply"),
        (b'{"inputs": ' + b"9" * 5000 + b"}", "JSON Parse error: Number too big to be stored."),
        (b'{"inputs": 1e999}', "Number too big to be stored in double."),
        (b'{"inputs": "\\ud800"}', "is not of expected type: float"),
        ([1], "JSON Value: [\n    1\n] Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": 3}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances' keys"),
        ({"signature_name": 5, "inputs": [1]}, "'signature_name' key must be a string value."),
    ],
)
def test_documents_that_are_no_requests(body, message):
    assert message in error_of(body, x="float32")


@pytest.mark.parametrize(
    ("dtype", "instances", "message"),
    [
        ("uint8", ["x"], 'JSON Value: "x" Type: String is not of expected type: uint8'),
        ("uint8", [300], "JSON Value: 300 Type: Number is not of expected type: uint8"),
        ("uint8", [-1], "JSON Value: -1 Type: Number is not of expected type: uint8"),
        ("int32", [1.0], "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", [True], "JSON Value: true Type: True is not of expected type: int32"),
        ("int64", [2**63], f"JSON Value: {2**63} Type: Number is not of expected type: int64"),
        ("float32", [None], "JSON Value: null Type: Null is not of expected type: float"),
        ("float32", [False], "JSON Value: false Type: False is not of expected type: float"),
        ("float64", ["1"], 'JSON Value: "1" Type: String is not of expected type: double'),
        ("bool", [1], "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("string", [1], "JSON Value: 1 Type: Number is not of expected type: string"),
        ("string", [{"b64": "a"}], "Unable to base64 decode"),
        ("string", [{"b64": "aGVs bG8="}], "Unable to base64 decode"),
        ("string", [{"b64": "é"}], "Unable to base64 decode"),
        (
            "float32",
            [2**24],
            f"Cannot convert JSON value: {2**24} to float without loss of precision.",
        ),
        ("float32", [1e39], "Cannot convert JSON value: 1e+39 to float without loss of precision."),
    ],
)
def test_values_of_the_wrong_type_name_their_element(dtype, instances, message):
    assert error_of({"instances": instances}, x=dtype) == in_element(0, message)
    assert error_of({"inputs": instances}, x=dtype).endswith(message)
    named = [{"x": instance} for instance in instances]
    assert error_of({"instances": named}, x=dtype) == in_element(0, message, " key: x")


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([[1, 2], [3, 4], [5]], in_element(2, "Expecting tensor size: 2 but got: 1")),
        ([[1, 2], [[3], [4]]], in_element(1, "Expecting shape [2] but got: [2,1]")),
        (
            [[[1, 2], [3]]],
            in_element(0, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ),
        (
            [[[1, 2], 3]],
            in_element(
                0,
                "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
            ),
        ),
        ([[1, [2]]], in_element(0, "Encountered list at unexpected level: 1 expected < 1")),
        ([1, {"x": 2}], "Expecting value/list but got object at item 1 of input list"),
        ([{"x": 2}, 1], "Expecting object but got list at item 1 of input list"),
    ],
)
def test_ragged_lists_name_their_element(instances, message):
    assert error_of({"instances": instances}, x="int32") == message


def test_ragged_columns_name_their_input():
    message = error_of({"inputs": {"x": [[1, 2], [3]]}}, x="int32")
    assert message.startswith("Failed to process input: x. Error: INVALID_ARGUMENT: Encountered")


def test_more_dimensions_than_any_tensor_has_are_refused():
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert "nested more than 32 deep" in error_of({"inputs": value}, x="int32")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        (
            {"instances": [{"a": 1, "k": 1}]},
            in_element(0, "JSON object: does not have named input: k", " key: k"),
        ),
        ({"instances": [{"a": 1}]}, "keys must be equal to: a,b"),
        ({"inputs": {"a": [1]}}, "Missing named input: b in 'inputs' object."),
    ],
)
def test_several_inputs_need_their_names(body, message):
    assert message in error_of(body, a="int32", b="int32")


def test_a_type_that_json_cannot_carry_is_unimplemented():
    with pytest.raises(ServingError, match="to type: half") as caught:
        decode({"inputs": [1.0]}, x="float16")
    assert caught.value.code is Code.UNIMPLEMENTED


def test_the_number_of_instances_is_capped():
    for body in ({"instances": [1] * 3}, {"inputs": {"x": [1] * 3}}):
        assert "holds 3 instances, and 2 is the most" in error_of(body, max_instances=2, x="int32")


def test_large_values_are_cut_short_in_messages():
    assert len(error_of({"instances": ["x" * 100_000]}, x="int32")) < 600


def test_integers_of_more_than_64_bits_are_decimals():
    assert decode({"inputs": [10**30]}, x="float64").inputs["x"].tolist() == [1e30]


def test_row_answers_are_values_or_objects():
    one = {"y": np.array([[1, 2], [3, 4]], np.int32)}
    assert json.loads(encode_predict(one, is_row=True)) == {"predictions": [[1, 2], [3, 4]]}
    two = {**one, "z": np.array([True, False])}
    assert json.loads(encode_predict(two, is_row=True)) == {
        "predictions": [{"y": [1, 2], "z": True}, {"y": [3, 4], "z": False}]
    }


def test_columnar_answers_are_an_array_or_an_object():
    one = {"y": np.array([[1, 2], [3, 4]], np.int32)}
    assert json.loads(encode_predict(one, is_row=False)) == {"outputs": [[1, 2], [3, 4]]}
    two = {**one, "z": np.array(2, np.float32)}
    assert json.loads(encode_predict(two, is_row=False)) == {
        "outputs": {"y": [[1, 2], [3, 4]], "z": 2.0}
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(3), "3.0"),
        (np.float32(-0.0), "-0.0"),
        (np.float32(0.1), "0.1"),
        (np.float32(1) / np.float32(3), "0.333333343"),
        (np.float32(2**24), "16777216.0"),
        (np.float32(9e6), "9e+06"),
        (np.float32(3e-5), "3e-05"),
        (np.float32("nan"), "NaN"),
        (np.float32("inf"), "Infinity"),
        (np.float32("-inf"), "-Infinity"),
        (np.float64(1) / 3, "0.33333333333333331"),
        (np.float16(0.5), "0.5"),
    ],
)
def test_decimals_are_written_as_tensorflow_serving_writes_them(value, text):
    assert encode_predict({"y": value}, is_row=False) == f'{{"outputs": {text}}}'.encode()


def test_bytes_are_base64_where_the_outputs_name_says_so():
    values = np.array([b"\xff\x00"], np.object_)
    assert json.loads(encode_predict({"y_bytes": values}, is_row=True)) == {
        "predictions": [{"b64": base64.b64encode(b"\xff\x00").decode()}]
    }
    with pytest.raises(ServingError, match='name that ends in "_bytes"'):
        encode_predict({"y": values}, is_row=True)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.float32(1)}, "Tensor name: y has no shape information "),
        (
            {"y": np.zeros(2), "z": np.zeros(3)},
            "Tensor name: z has inconsistent batch size: 3 expecting: 2",
        ),
        ({"y": np.zeros(1, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
    ],
)
def test_outputs_without_a_row_form(outputs, message):
    with pytest.raises(ServingError) as caught:
        encode_predict(outputs, is_row=True)
    assert caught.value.message == message


def any_array(dtype):
    shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=4, min_side=0)
    return arrays.arrays(dtype, shapes)


@given(st.sampled_from([*DTYPES, "float64"]).flatmap(any_array))
def test_an_answer_read_back_as_a_request_is_the_same_array(array):
    texts = encode_predict({"x": array}, is_row=False).decode()
    request = decode(texts.replace("outputs", "inputs", 1).encode(), x=array.dtype.name)
    # A list that is empty hides the sizes of the dimensions inside it.
    if array.size:
        np.testing.assert_array_equal(request.inputs["x"], array)
    assert request.inputs["x"].dtype == array.dtype


@given(st.lists(st.binary(), min_size=1))
def test_bytes_survive_the_round_trip(values):
    array = np.empty(len(values), np.object_)
    array[:] = values
    text = encode_predict({"x_bytes": array}, is_row=True).decode()
    request = decode(text.replace("predictions", "instances", 1).encode(), x_bytes="string")
    assert request.inputs["x_bytes"].tolist() == values


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.sampled_from([*DTYPES, "float64", "string"]),
    st.sampled_from(["instances", "inputs"]),
)
def test_any_json_is_decoded_or_refused(value, dtype, key):
    try:
        request = decode({key: value}, x=dtype)
    except ServingError:
        return
    array = request.inputs["x"]
    assert array.dtype == (np.object_ if dtype == "string" else np.dtype(dtype))
    assert math.prod(array.shape) == array.size
