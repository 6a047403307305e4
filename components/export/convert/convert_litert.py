"""LiteRT (formerly TensorFlow Lite), for phones and small machines; in float32 or quantised.

The converter is TensorFlow's own; the runtime is the package ai-edge-litert.
"""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from twofold.components.errors import ConversionError
from twofold.components.export.convert.convert_process import foreign_text

PACKAGES = ("ai-edge-litert",)
_SIGNATURE = "serving_default"
_UNSUPPORTED = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
# A file that has these reads weights that are not in it, and computes with zeros.
_VARIABLE_OPERATIONS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")


def write(saved_model: Path, file: Path, precision: str, calibration: np.ndarray | None) -> None:
    """Converts the signature of a SavedModel to a LiteRT file with a dynamic batch size.

    Args:
        saved_model: as ``twofold.components.export.convert.conversion`` stages it.
        file: to write.
        precision: "float32"; "dynamic" for int8 weights whose layers quantise their input by its
            own range; or "int8" for weights and activations in fixed ranges (Jacob et al., 2018),
            where an operation that has no int8 form fails. Images stay uint8 and outputs float32.
        calibration: uint8 [N, H, W, C], images that show the ranges of all activations to "int8".

    Raises:
        ConversionError: if there are operations that LiteRT does not have, which it names.
        ValueError: if "int8" has no calibration images.

    """
    tensorflow = importlib.import_module("tensorflow")
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[_SIGNATURE]
    )
    if precision != "float32":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    if precision == "int8":
        if calibration is None:
            raise ValueError('the precision "int8" needs calibration images, received none')
        samples = calibration[:, None]
        converter.representative_dataset = lambda: ({"images": sample} for sample in samples)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        content = converter.convert()
    except Exception as error:
        names = sorted(set(_UNSUPPORTED.findall(str(error))))
        if not names:
            raise
        raise ConversionError(foreign_text(names)) from None
    file.write_bytes(content)


def foreign_operations(file: Path) -> list[str]:
    """Names the operations of a file that are not LiteRT's own, sorted.

    These are custom operations, among them TensorFlow's ("Flex"), which a plain runtime cannot run,
    and those on variables: what the converter makes of a model that does not track its weights.
    """
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    builtin = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.Model.GetRootAsModel(file.read_bytes(), 0)
    foreign = set()
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        name = builtin[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name == "CUSTOM":
            foreign.add((code.CustomCode() or b"CUSTOM").decode())
        elif name in _VARIABLE_OPERATIONS:
            foreign.add(name)
    return sorted(foreign)


def answer(file: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a file on images uint8 [N, H, W, C], and returns its outputs by name."""
    outputs: dict[str, np.ndarray] = _runner(file)(images=images)
    return outputs


@functools.cache
def _runner(file: Path) -> Any:
    runtime = importlib.import_module("ai_edge_litert.interpreter")
    return runtime.Interpreter(model_path=str(file)).get_signature_runner(_SIGNATURE)
