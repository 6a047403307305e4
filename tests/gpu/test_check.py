"""A GPU's answers are held to the CPU's, and its speed to its peak."""

import dataclasses
import math
import time

import keras
import pytest

from tests.gpu.check import Row, check_tasks, main, run_all, speed_tasks, table
from tests.gpu.peaks import forward_flops, peak_flops
from tests.gpu.step import Answer, Task

TASK = Task("stl10_simclr", "GPU", 32, "float32", "none")
TIMED = dataclasses.replace(TASK, precision="bfloat16", seconds=8.0)
ANSWER = Answer("NVIDIA H100 80GB HBM3", [2.0, 1.5, 1.0], 3.0, None, 10**9, 2**30)


def test_the_operations_of_a_network_are_two_for_each_weight_and_position() -> None:
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(features))
    # 16 positions of 3 x 3 x 3 x 4 weights, and 64 x 10.
    assert forward_flops(keras.Model(inputs, logits)) == 2 * (16 * 108 + 640)


@pytest.mark.parametrize(
    ("device", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4),
        ("NVIDIA H100 PCIe", "float32", 378.0),
        ("NVIDIA L4", "bfloat16", 121.0),
        ("Tesla K80", "float32", None),
    ],
)
def test_a_gpus_peak_is_that_of_its_data_sheet(
    device: str, precision: str, tera: float | None
) -> None:
    assert peak_flops(device, precision) == (tera and 1e12 * tera)


def test_losses_that_are_not_the_cpus_fail() -> None:
    near = dataclasses.replace(ANSWER, losses=[2.0, 1.5, 1.0005])
    assert not Row(TASK, near, ANSWER).failed
    assert Row(TASK, near, ANSWER).difference == pytest.approx(5e-4)
    for losses in ([2.0, 1.5, 1.01], [2.0, 1.5, math.nan]):
        assert Row(TASK, dataclasses.replace(ANSWER, losses=losses), ANSWER).failed
    assert Row(TASK, "failed: out of memory", ANSWER).failed
    assert Row(TASK, ANSWER, "failed: killed").failed


def test_what_the_time_does_not_suffice_for_is_named() -> None:
    ran = []

    def run(task: Task) -> Answer:
        ran.append(task.device)
        return ANSWER

    rows, left = run_all([TASK], [TIMED], time.monotonic() + 60, run)
    assert ran == ["GPU", "CPU", "GPU"]
    assert [row.reference for row in rows] == [ANSWER, None]
    assert not left
    rows, left = run_all([TASK], [TIMED], time.monotonic(), run)
    assert "Not run for want of time: stl10_simclr float32 none, stl10_simclr bf" in table([], left)


def test_the_table_shows_the_share_of_the_peak() -> None:
    # 9,894 images a second of 10 GFLOP are a tenth of 989.4 TFLOP/s.
    timed = dataclasses.replace(ANSWER, images_per_second=9894.0, flops_per_image=10**10)
    text = table([Row(TASK, ANSWER, ANSWER), Row(TIMED, timed), Row(TASK, "failed: no room")], [])
    assert "# NVIDIA H100 80GB HBM3" in text
    assert "| equal, by 0.0e+00 |  |  |  | 1.00 GiB | 3.0 s |" in text
    assert "| 9,894 | 98.94 | 10.0 % | 1.00 GiB |" in text
    assert "**failed: no room**" in text


def test_everything_is_timed_in_both_precisions_with_and_without_xla() -> None:
    assert len(check_tasks(["a", "b"], "GPU")) == 2
    kinds = {(one.precision, one.compile) for one in speed_tasks(["a"], "GPU", None, 1.0)}
    assert kinds == {(p, c) for p in ("float32", "bfloat16") for c in ("auto", "none")}


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.gpu.check.run_apart", lambda task: "failed: no GPU here")
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "failed: no GPU here; --device CPU rehearses without one" in capsys.readouterr().err
