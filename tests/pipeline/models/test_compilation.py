"""XLA compiles what it can: not what logical CPUs exchange."""

import pytest
import tensorflow as tf

from twofold.components.errors import SettingsError
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import step_settings


def _compiled(compile_: str, replicas: int) -> bool:
    return step_settings(override(RunConfig(), [f"training.compile={compile_}"]), replicas).compiled


def test_a_whole_step_is_compiled_where_it_is_asked_for_and_by_itself_on_one_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [(kind, replicas) for kind in ("auto", "views", "step") for replicas in (1, 2)]
    on_a_cpu = {one: _compiled(*one) for one in cases[:-1]}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    on_gpus = {one: _compiled(*one) for one in cases}
    assert [one for one, compiled in on_a_cpu.items() if compiled] == [("step", 1)]
    assert [one for one, compiled in on_gpus.items() if compiled] == [
        *[("auto", 1), ("step", 1), ("step", 2)]
    ]


def test_the_step_of_several_cpus_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"training\.compile=step on 2 replicas: expected GPUs"):
        _compiled("step", 2)
