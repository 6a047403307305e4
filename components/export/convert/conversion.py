"""Conversion of an exported model to ONNX and LiteRT files, each proven before it is published.

A file takes ``images``, uint8 [B, H, W, C] of any B, and gives ``embedding`` float32 [B, D] and,
with a head, ``logits`` and ``probabilities`` float32 [B, K]. It is made of the signature ``embed``:
decoding and resizing of files stay with TensorFlow. Converter and runtime each work in a process of
their own (``convert_process``); the runtime's has nothing of the model but the file.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twofold.components import files
from twofold.components.errors import SettingsError
from twofold.components.export.convert import convert_litert, convert_onnx, convert_process
from twofold.components.export.convert.compare_outputs import Tolerances, judge
from twofold.components.export.convert.convert_source import LinearWeights, load_source


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file that a model can be converted to.

    Attributes:
        module: what knows the runtime, see ``convert_process``.
        file: name of the file.
        converter: package that writes it.
        runtime: package that runs it.
        packages: what must be installed beside TensorFlow.
        precision: "float32"; "dynamic": int8 weights, and activations quantised as they come, each
            batch by its own range; or "int8": activations in ranges fixed by calibration images.

    """

    module: str
    file: str
    converter: str
    runtime: str
    packages: Sequence[str]
    precision: str = "float32"


def _litert(file: str, precision: str) -> Format:
    return Format(
        convert_litert.__name__,
        file,
        "tensorflow",
        "ai-edge-litert",
        convert_litert.PACKAGES,
        precision,
    )


FORMATS = {
    "onnx": Format(
        convert_onnx.__name__, "encoder.onnx", "tf2onnx", "onnxruntime", convert_onnx.PACKAGES
    ),
    "litert": _litert("encoder.tflite", "float32"),
    "litert_dynamic": _litert("encoder_dynamic.tflite", "dynamic"),
    "litert_int8": _litert("encoder_int8.tflite", "int8"),
}


@dataclasses.dataclass(frozen=True)
class Converted:
    """A file that answers as the original does.

    Attributes:
        format: a key of ``FORMATS``.
        path: of the file.
        bytes: its size.
        largest_difference: of an output's values, as a share of the output's largest.
        mean_cosine: of its embeddings and the original's.
        mean_centred_cosine: likewise, without what all of the original's have in common; None where
            they are all the same.
        accuracy: share of the sample that it classifies correctly; None without labels.
        accuracy_drop: the original's share less its own, so negative where it does better.
        images: how many images all this was measured on.
        converter_version: package and version that wrote it.
        runtime_version: package and version that answered.

    """

    format: str
    path: Path
    bytes: int
    largest_difference: float
    mean_cosine: float
    mean_centred_cosine: float | None
    accuracy: float | None
    accuracy_drop: float | None
    images: int
    converter_version: str
    runtime_version: str


def convert(
    saved_model_dir: Path,
    formats: Sequence[str],
    out_dir: Path,
    sample_images: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    head: LinearWeights | None = None,
    calibration_images: np.ndarray | None = None,
    tolerances: Tolerances | None = None,
) -> list[Converted]:
    """Converts a SavedModel's ``embed`` signature, and proves each file on a sample.

    All files are published together at the end, in place of earlier ones; when anything fails,
    ``out_dir`` keeps what it had.

    Args:
        saved_model_dir: a version directory, with ``saved_model.pb``.
        formats: keys of ``FORMATS``.
        out_dir: where the files go; created.
        sample_images: uint8 [N, H, W, C], what is compared: held-out images, best some hundred.
        labels: int [N] in 0..K-1, the sample's classes, to measure the accuracy of the head.
        head: a linear classifier that goes into the files.
        calibration_images: uint8 [M, H, W, C], for ``litert_int8``: some hundred representative
            images, best not the sample's.
        tolerances: what is refused; None for the defaults.

    Returns:
        What was written, in the order of the formats.

    Raises:
        ConversionError: if a package is missing, a model cannot be converted, or a file does not
            answer as the original does.
        SettingsError: if a format is unknown, comes twice, or lacks its calibration images.
        DataError: if images or labels do not fit the model.
        ExportError: if the head does not.

    """
    chosen = _known(formats)
    require_packages(formats)
    source = load_source(saved_model_dir, head)
    source.check_images("sample_images", sample_images)
    if labels is not None:
        source.check_labels(labels, len(sample_images))
    if calibration_images is not None:
        source.check_images("calibration_images", calibration_images)
    elif any(one.precision == "int8" for one in chosen):
        raise SettingsError("the format litert_int8 needs calibration_images, received none")
    expected = source.answer(sample_images)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=out_dir) as name:
        folder = Path(name)
        source.stage(folder / convert_process.SAVED_MODEL)
        converted = []
        for key, one in zip(formats, chosen, strict=True):
            convert_process.write(one.module, folder, one.file, one.precision, calibration_images)
            answers = convert_process.answer(one.module, folder, one.file, sample_images)
            measured = judge(
                one.file,
                expected,
                answers,
                labels,
                tolerances or Tolerances(),
                quantised=one.precision != "float32",
            )
            converted.append(
                Converted(
                    format=key,
                    path=out_dir / one.file,
                    bytes=(folder / one.file).stat().st_size,
                    **dataclasses.asdict(measured),
                    images=len(sample_images),
                    converter_version=version(one.converter),
                    runtime_version=version(one.runtime),
                )
            )
        for one in chosen:
            files.move_file(folder / one.file, out_dir / one.file)
    return converted


def require_packages(formats: Sequence[str]) -> None:
    """Looks whether what formats are made and proven with is installed.

    Args:
        formats: those that are none of ``FORMATS`` need nothing but TensorFlow.

    Raises:
        ConversionError: that names what is missing, and how to install it.

    """
    chosen = [FORMATS[name] for name in formats if name in FORMATS]
    convert_process.require(*dict.fromkeys(name for one in chosen for name in one.packages))


def _known(formats: Sequence[str]) -> list[Format]:
    for name in formats:
        if name not in FORMATS:
            raise SettingsError(f"unknown format {name!r}: expected some of {', '.join(FORMATS)}")
    if not formats or len(set(formats)) != len(formats):
        raise SettingsError(f"expected formats, each once, received {list(formats)}")
    return [FORMATS[name] for name in formats]


def version(package: str) -> str:
    """Names an installed package and its version."""
    return f"{package} {importlib.metadata.version(package)}"
