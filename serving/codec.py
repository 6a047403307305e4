"""JSON codec of requests and answers, with TensorFlow Serving's rules and error messages.

A predict request is `{"signature_name": ..., "instances": [...]}` (row format: one entry for each
example) or `{"signature_name": ..., "inputs": ...}` (columnar: one array for each input). The
answer has the same form: `{"predictions": [...]}` or `{"outputs": ...}`. Bytes travel as
`{"b64": "..."}`; on the way out only for outputs whose name ends in `_bytes`. NaN, Infinity and
-Infinity are bare words, as TensorFlow Serving reads and writes them.

Stricter than TensorFlow Serving on purpose: an integer outside its type's range is refused (it
would wrap round), base64 must be canonical, and values are cut short in error messages.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twofold.serving.json_values import (
    CONSTANTS,
    convert,
    convert_numbers,
    echo,
    is_base64,
    nest,
    value_texts,
)
from twofold.serving.signature import DEFAULT_SIGNATURE, Signature, TensorInfo, shape_text
from twofold.serving.status_codes import ServingError, invalid_argument

# What Python's parser says, in RapidJSON's words.
PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or a closing bracket after a value.",
    "Extra data": "The document root must not be followed by other values.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid control character at": "Invalid encoding in string.",
}


@dataclass(frozen=True)
class PredictRequest:
    """A decoded request: arrays for one signature, and whether the row format asked for them."""

    signature_name: str
    inputs: dict[str, np.ndarray]
    is_row: bool


def decode_predict(
    body: bytes, find_signature: Callable[[str], Signature], *, max_instances: int
) -> PredictRequest:
    """Decode the body of a predict request.

    Args:
        body: the JSON text.
        find_signature: gives the signature of a name or raises ServingError. It is asked after the
            text is parsed, so that bad JSON is reported before an unknown model.
        max_instances: the most examples that one request may hold.

    Returns:
        Arrays of the signature's dtypes; strings are object arrays of bytes. Shapes are as sent:
        whether they fit the signature is for Signature.check to say.

    Raises:
        ServingError: what is wrong with the request, in TensorFlow Serving's words.

    """
    document = _parse(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {echo(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    signature = find_signature(name or DEFAULT_SIGNATURE)
    if not signature.inputs:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        raise invalid_argument(
            f"JSON Value: {echo(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid_argument(
                f"JSON Value: {echo(document)} Expecting 'instances' to be an list/array"
            )
        if not instances:
            raise invalid_argument(f"JSON Value: {echo(document)} No values in 'instances' array")
        _check_count(len(instances), max_instances)
        return PredictRequest(signature.name, _decode_rows(instances, signature.inputs), True)
    if "inputs" in document:
        columns = _columns(document["inputs"], signature.inputs)
        for column in columns.values():
            _check_count(len(column) if isinstance(column, list) else 1, max_instances)
        arrays = {key: _decode_column(columns[key], signature.inputs[key]) for key in columns}
        return PredictRequest(signature.name, arrays, False)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise invalid_argument(f"The request holds {count} instances, and {limit} is the most")


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    if body.isspace():
        raise _parse_error("The document is empty.", len(body))
    try:
        text = body.decode("utf-8-sig")
        document = json.loads(text, parse_constant=CONSTANTS.__getitem__)
    except UnicodeDecodeError as error:
        raise _parse_error("Invalid encoding in string.", error.start) from error
    except json.JSONDecodeError as error:
        reason, position = PARSE_ERRORS.get(error.msg, error.msg), error.pos
        if error.msg.startswith("Illegal trailing comma"):
            # Python 3.13 points at the comma, RapidJSON at the bracket that follows it.
            after = text[position + 1 :]
            position = len(text) - len(after.lstrip())
        raise _parse_error(reason, len(text[:position].encode())) from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from error
    except ValueError as error:
        # Python refuses to read integers of thousands of digits.
        raise invalid_argument("JSON Parse error: Number too big to be stored.") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {echo(document)} Is not object")
    return document


def _parse_error(reason: str, offset: int) -> ServingError:
    return invalid_argument(f"JSON Parse error: {reason} at offset: {offset}")


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _decode_rows(instances: list[Any], inputs: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    if not _is_named(instances[0]):
        if len(inputs) > 1:
            raise invalid_argument(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        for index, instance in enumerate(instances):
            if _is_named(instance):
                raise invalid_argument(
                    f"Expecting value/list but got object at item {index} of input list"
                )
        (info,) = inputs.values()
        return {info.name: _stack(instances, info, key="")}
    for index, instance in enumerate(instances):
        if not _is_named(instance):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        for name in instance:
            if name not in inputs:
                raise _element_error(
                    index,
                    f" key: {name}",
                    invalid_argument(f"JSON object: does not have named input: {name}"),
                )
        if instance.keys() != inputs.keys():
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{echo(instance)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    return {
        name: _stack([instance[name] for instance in instances], info, key=f" key: {name}")
        for name, info in inputs.items()
    }


def _stack(values: list[Any], info: TensorInfo, *, key: str) -> np.ndarray:
    """One array from one value for each example, all of one shape: [B, ...]."""
    whole = convert_numbers(values, info.dtype)
    if whole is not None:
        return whole
    arrays: list[np.ndarray] = []
    for index, value in enumerate(values):
        try:
            array = convert(value, info.dtype)
            if arrays and array.size != arrays[0].size:
                raise invalid_argument(
                    f"Expecting tensor size: {arrays[0].size} but got: {array.size}"
                )
            if arrays and array.shape != arrays[0].shape:
                raise invalid_argument(
                    f"Expecting shape {shape_text(arrays[0].shape)} "
                    f"but got: {shape_text(array.shape)}"
                )
        except ServingError as error:
            raise _element_error(index, key, error) from error
        arrays.append(array)
    return np.stack(arrays)


def _element_error(index: int, key: str, error: ServingError) -> ServingError:
    # A type that JSON cannot carry is not the request's fault, and keeps its status.
    return ServingError(
        error.code, f"Failed to process element: {index}{key} of 'instances' list. Error: {error}"
    )


def _columns(value: Any, inputs: Mapping[str, TensorInfo]) -> dict[str, Any]:
    if _is_named(value):
        for name in inputs:
            if name not in value:
                raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        return {name: value[name] for name in inputs}
    if len(inputs) > 1:
        raise invalid_argument(
            "inputs is a plain value/list, but expecting an object as multiple "
            "input tensors required as per tensorinfo_map"
        )
    return dict.fromkeys(inputs, value)


def _decode_column(value: Any, info: TensorInfo) -> np.ndarray:
    whole = convert_numbers(value, info.dtype)
    if whole is not None:
        return whole
    try:
        return convert(value, info.dtype)
    except ServingError as error:
        raise ServingError(
            error.code, f"Failed to process input: {info.name}. Error: {error}"
        ) from error


def encode_predict(outputs: Mapping[str, np.ndarray], *, is_row: bool) -> bytes:
    """Encode the arrays of an answer.

    Args:
        outputs: one array for each output, [B, ...] for the row format.
        is_row: True gives `{"predictions": [...]}`, a list of B values, or of B objects where there
            are several outputs; False `{"outputs": ...}`, one array, or an object of arrays.

    Returns:
        The JSON text. Floats have the fewest of 6 or 9 (17 for float64) digits that give the same
        number back, and always a point or an exponent.

    Raises:
        ServingError: the outputs have no common batch size, or a type that JSON cannot carry.

    """
    names = sorted(outputs)
    if not names:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if not is_row:
        texts = [nest(value_texts(name, outputs[name]), outputs[name].shape)[0] for name in names]
        return f'{{"outputs": {_join_outputs(names, texts)}}}'.encode()
    batch_size = -1
    for name in names:
        shape = outputs[name].shape
        if not shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if batch_size not in (-1, shape[0]):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} "
                f"expecting: {batch_size}"
            )
        batch_size = shape[0]
    columns = [
        nest(value_texts(name, outputs[name]), outputs[name].shape, keep_first=True)
        for name in names
    ]
    rows = [_join_outputs(names, texts) for texts in zip(*columns, strict=True)]
    return f'{{"predictions": [{", ".join(rows)}]}}'.encode()


def _join_outputs(names: Sequence[str], texts: Sequence[str]) -> str:
    if len(names) == 1:
        return texts[0]
    members = (f"{json.dumps(name)}: {text}" for name, text in zip(names, texts, strict=True))
    return "{" + ", ".join(members) + "}"
