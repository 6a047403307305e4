"""Mixed precision: floats that networks compute in; weights, statistics, losses stay float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras

from twofold.components.errors import SettingsError

POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
# As Linux names them on x86 and on ARM, and the keys that it lists them under.
_BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}
_FEATURES = ("flags", "Features")


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Builds networks within that compute in a precision.

    Args:
        name: "float32"; "bfloat16", which has float32's range; or "float16", whose gradients need
            ``keep_gradients``.

    Raises:
        SettingsError: if the name is unknown.

    """
    if name not in POLICIES:
        raise SettingsError(f"unknown precision {name!r}: expected one of {', '.join(POLICIES)}")
    before = keras.config.dtype_policy()
    # A policy of float64, which tests set, has no lower precision to mix in.
    if name != "float32":
        keras.config.set_dtype_policy(POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def keep_gradients(optimizer: keras.optimizers.Optimizer, name: str) -> keras.optimizers.Optimizer:
    """Keeps small gradients of float16 above zero by a scale on the loss that adapts itself.

    Micikevicius et al. (2018), section 3.2. Other precisions get the optimizer as it is.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer) if name == "float16" else optimizer


def bfloat16_instructions(cpu: Path = Path("/proc/cpuinfo")) -> list[str] | None:
    """Tells which instructions for bfloat16 this processor has.

    Without any TensorFlow converts, which takes longer than computing in float32.

    Args:
        cpu: where Linux describes its processors.

    Returns:
        Their names, sorted; None where the system does not tell.

    """
    try:
        lines = cpu.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    described = [line.partition(":") for line in lines]
    known = [set(value.split()) for key, _, value in described if key.strip() in _FEATURES]
    return sorted(_BFLOAT16_INSTRUCTIONS.intersection(*known)) if known else None
