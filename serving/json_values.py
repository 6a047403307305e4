"""JSON values to arrays, and arrays to JSON texts, by TensorFlow Serving's rules."""

import base64
import json
import math
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, NoReturn

import numpy as np

from twofold.serving.status_codes import Code, ServingError, invalid_argument

ECHO_LIMIT = 256
BYTES_SUFFIX = "_bytes"
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
# The largest integer up to which every integer is exact in the type.
EXACT_INTEGER = {"float32": 2**24 - 1, "float64": 2**53 - 1}
MAX_RANK = 32
CONVERTIBLE = ("string", "bool", *INTEGERS, *EXACT_INTEGER)
# TensorFlow Serving's messages have the types' protocol buffer names.
DTYPE_TEXT = {"float32": "float", "float64": "double", "float16": "half"}

# Being these very objects tells the words from a literal such as 1e999, which is an error.
CONSTANTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def convert_numbers(value: Any, dtype: str) -> np.ndarray | None:
    """A scalar or regular nested list of numbers as an array; None for whatever is not plain.

    The quick way for large lists of numbers, whole levels at a time: for what it returns
    None for, convert says whether it can be converted all the same, or what is wrong with it.
    """
    shape: list[int] = []
    leaves = [value]
    while list in (types := set(map(type, leaves))):
        sizes = set(map(len, leaves)) if types == {list} else set()
        if len(sizes) != 1 or len(shape) == MAX_RANK:
            return None
        shape.append(sizes.pop())
        leaves = list(chain.from_iterable(leaves))
    try:
        if dtype in INTEGERS and types <= {int}:
            return _exact_cast(np.array(leaves, np.int64), dtype, shape)
        if dtype in EXACT_INTEGER and types <= {int, float}:
            numbers = np.array(leaves, np.float64)
            if (np.abs(numbers) <= EXACT_INTEGER[dtype]).all():
                return numbers.astype(dtype).reshape(shape)
    except OverflowError:
        return None
    return None


def _exact_cast(numbers: np.ndarray, dtype: str, shape: list[int]) -> np.ndarray | None:
    limits = np.iinfo(dtype)
    if numbers.size and (numbers.min() < limits.min or numbers.max() > limits.max):
        return None
    return numbers.astype(dtype).reshape(shape)


def convert(value: Any, dtype: str) -> np.ndarray:
    """A scalar or regular nested list as an array, value by value.

    Args:
        value: as json.loads gives it, with CONSTANTS as its constants.
        dtype: TensorFlow's name of the element type.

    Returns:
        An array of that dtype; strings are an object array of bytes.

    Raises:
        ServingError: the first value that is not of the dtype, or the first list of another size.

    """
    if dtype not in CONVERTIBLE:
        raise ServingError(
            Code.UNIMPLEMENTED,
            f"Conversion of JSON Value: {echo(value)} to type: {_dtype_text(dtype)}",
        )
    shape = _dense_shape(value)
    leaves: list[Any] = []
    _collect(value, 0, shape, dtype, leaves)
    array = np.empty(len(leaves), np.object_ if dtype == "string" else dtype)
    array[:] = leaves
    return array.reshape(shape)


def _dense_shape(value: Any) -> list[int]:
    """The shape that the first element of each list promises."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_RANK:
            raise invalid_argument(f"Encountered lists nested more than {MAX_RANK} deep")
        if not value:
            break
        value = value[0]
    return shape


def _collect(value: Any, level: int, shape: list[int], dtype: str, leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {echo(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        leaves.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for element in value:
        _collect(element, level + 1, shape, dtype, leaves)


def _leaf(value: Any, dtype: str) -> bytes | bool | int | float:
    if dtype == "string":
        return _string_leaf(value)
    if dtype == "bool":
        return value if isinstance(value, bool) else _wrong_type(value, dtype)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        if is_number and isinstance(value, int) and limits.min <= value <= limits.max:
            return value
        return _wrong_type(value, dtype)
    return _float_leaf(value, dtype) if is_number else _wrong_type(value, dtype)


def _string_leaf(value: Any) -> bytes:
    if isinstance(value, dict):
        if not is_base64(value):
            raise invalid_argument(
                f"JSON Value: {echo(value)} not formatted correctly for base64 data"
            )
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise invalid_argument("Unable to base64 decode") from error
    if not isinstance(value, str):
        return _wrong_type(value, "string")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise invalid_argument(
            "JSON Parse error: The surrogate pair in string is invalid."
        ) from error


def _float_leaf(value: int | float, dtype: str) -> float:
    if any(value is constant for constant in CONSTANTS.values()):
        return float(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise invalid_argument("JSON Parse error: Number too big to be stored in double.")
    # TensorFlow Serving reads an integer of more than 64 bits as a decimal number.
    is_exact_integer = isinstance(value, int) and -(2**63) <= value < 2**64
    limit = EXACT_INTEGER[dtype] if is_exact_integer else float(np.finfo(dtype).max)
    if abs(number) > limit:
        raise invalid_argument(
            f"Cannot convert JSON value: {echo(value)} to {_dtype_text(dtype)} "
            "without loss of precision."
        )
    return number


def _wrong_type(value: Any, dtype: str) -> NoReturn:
    raise invalid_argument(
        f"JSON Value: {echo(value)} Type: {_json_type(value)} "
        f"is not of expected type: {_dtype_text(dtype)}"
    )


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
    return names[type(value)]


def _dtype_text(dtype: str) -> str:
    return DTYPE_TEXT.get(dtype, dtype)


def is_base64(value: Any) -> bool:
    """Whether a value is bytes: an object with the one key `b64` and a string."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def echo(value: Any) -> str:
    """A value as JSON for a message, cut short: a request may hold megabytes."""
    parts = json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value)
    text = "".join(islice(parts, ECHO_LIMIT))
    return text if len(text) <= ECHO_LIMIT else text[:ECHO_LIMIT] + "..."


def value_texts(name: str, array: np.ndarray) -> list[str]:
    """The JSON text of each value, in order."""
    if array.dtype == np.object_:
        return [_string_text(name, value) for value in array.ravel().tolist()]
    if array.dtype == np.bool_:
        return ["true" if value else "false" for value in array.ravel().tolist()]
    if array.dtype.kind in "iu":
        return [str(value) for value in array.ravel().tolist()]
    if array.dtype.name in ("float16", "bfloat16", "float32"):
        return _decimal_texts(array.ravel().astype(np.float32), digits=9)
    if array.dtype == np.float64:
        return _decimal_texts(array.ravel(), digits=17)
    raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype.name}")


def _string_text(name: str, value: bytes) -> str:
    if name.endswith(BYTES_SUFFIX):
        return json.dumps({"b64": base64.b64encode(value).decode()})
    try:
        return json.dumps(value.decode(), ensure_ascii=False)
    except UnicodeDecodeError as error:
        raise invalid_argument(
            f'Output "{name}" holds bytes that are no UTF-8 text; '
            f'an output of bytes has a name that ends in "{BYTES_SUFFIX}"'
        ) from error


def _decimal_texts(values: np.ndarray, *, digits: int) -> list[str]:
    """Six digits where these give the number back, else `digits`; whole numbers get a `.0`."""
    numbers = values.astype(np.float64).tolist()
    texts = [f"{number:.6g}" for number in numbers]
    is_same = np.array(texts, np.float64).astype(values.dtype) == values
    for index in np.flatnonzero(~(is_same & np.isfinite(values))).tolist():
        number = numbers[index]
        texts[index] = f"{number:.{digits}g}" if math.isfinite(number) else json.dumps(number)
    return [text + ".0" if text.lstrip("-").isdecimal() else text for text in texts]


def nest(texts: list[str], shape: Sequence[int], *, keep_first: bool = False) -> list[str]:
    """Join values into nested lists: one text, or with keep_first one for each example."""
    sizes = shape[1:] if keep_first else shape
    for axis in reversed(range(len(shape) - len(sizes), len(shape))):
        size, count = shape[axis], math.prod(shape[:axis])
        texts = [f"[{', '.join(texts[i * size : (i + 1) * size])}]" for i in range(count)]
    return texts
