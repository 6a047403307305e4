"""Training step of a recipe on one device, checked or timed in a process of its own.

    python -m tests.gpu.step '{"recipe": "stl10_simclr", "device": "GPU", ...}'

prints one line of JSON. A process of its own has a peak of memory of its own, and may run out of
it without ending the others.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from typing import Any

# Of a whole training, for schedules; what is timed lies at its beginning.
_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Task:
    """A step to make.

    Attributes:
        recipe: whose method, network and views these are.
        device: "CPU" or "GPU".
        images: a batch; None for the recipe's.
        precision: "float32" or "bfloat16".
        compile: as ``training.compile``.
        seconds: to time for; 0 to make three steps and give their losses.

    """

    recipe: str
    device: str
    images: int | None
    precision: str
    compile: str
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the steps gave.

    Attributes:
        device: its name.
        losses: of the first three steps.
        first_seconds: until the end of the first, with tracing and compilation.
        images_per_second: afterwards; None where it was not timed.
        flops_per_image: of convolutions and dense layers, there and back.
        peak_bytes: of the GPU's memory; None of a CPU.

    """

    device: str
    losses: list[float]
    first_seconds: float
    images_per_second: float | None
    flops_per_image: int
    peak_bytes: int | None


def run(task: Task) -> Answer:
    """Makes the steps on random images.

    Raises:
        SystemExit: if there is no such device.

    """
    if task.device == "CPU":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from twofold.pipeline.tensorflow_import import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from tests.gpu.peaks import forward_flops
    from twofold.components import distribute
    from twofold.components.training.loop import LoopSettings
    from twofold.components.training.precision import precision
    from twofold.components.training.step import build_train_step
    from twofold.pipeline.config import override
    from twofold.pipeline.models.build import build_state, step_settings
    from twofold.pipeline.models.method_builder import build_method
    from twofold.pipeline.recipes import load_recipe

    devices = tf.config.list_physical_devices(task.device)
    if not devices:
        raise SystemExit(f"no {task.device} here: TensorFlow lists none")
    if not task.seconds:
        # In TF32, by which GPUs compute float32 otherwise, values differ in their third digit.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    config = load_recipe(task.recipe)
    images = task.images or config.training.batch_size
    settings = [f"training.precision={task.precision}", f"training.compile={task.compile}"]
    config = override(
        config,
        [*settings, f"training.batch_size={images}", "training.labelled_batch_size=null"],
    )
    side = config.data.image_size or 32
    shape, classes = (side, side, 3), 10
    length = LoopSettings(_STEPS, _STEPS, _STEPS, _STEPS)
    strategy = distribute.make_strategy(1)
    keras.utils.set_random_seed(config.seed)
    with precision(config.training.precision):
        method = build_method(config, shape, classes, _STEPS)
    state = build_state(config, method, length, classes, 1)
    state.build()
    step = build_train_step(strategy, method, state, step_settings(config, 1))
    random = np.random.default_rng(0)
    # Waves and not noise, whose crops are all alike.
    rows, columns = np.mgrid[0:side, 0:side] / 6
    phases = random.uniform(0, 6, (2, images, 1, 1, 3))
    waves = np.sin(rows[..., None] + phases[0]) * np.cos(columns[..., None] + phases[1])
    batch = {
        "image": tf.constant((127.5 + 127.5 * waves).astype(np.uint8)),
        "label": tf.constant(random.integers(0, classes, images), tf.int32),
        "key_hash": tf.range(images, dtype=tf.int64),
    }
    began = time.monotonic()
    losses = [float(step(batch)["loss"])]
    first = time.monotonic() - began
    losses += [float(step(batch)["loss"]) for _ in range(2)]
    rate = _images_per_second(lambda: step(batch)["loss"], images, task.seconds)
    on_gpu = task.device == "GPU"
    name = tf.config.experimental.get_device_details(devices[0]).get("device_name", task.device)
    # Two views there, and back by each weight and each input.
    flops = 3 * 2 * sum(forward_flops(model) for model in state.models.values())
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if on_gpu else None
    return Answer(name, losses, first, rate, flops, peak)


def _images_per_second(step: Any, images: int, seconds: float) -> float | None:
    if not seconds:
        return None
    done, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        # Steps follow each other without waiting, as in training, and the last one is waited for.
        losses = [step() for _ in range(4)]
        float(losses[-1])
        done += len(losses)
    return done * images / passed if done else None


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(run(Task(**json.loads(sys.argv[1]))))))
