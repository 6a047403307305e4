"""Training curves: all scalars read back from TensorBoard logs.

The last value of each is a metric of the run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from twofold.components.training.tensorboard.scalar_tags import curve_of


def read_scalars(directory: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads every scalar curve of a run.

    Args:
        directory: of the event files.

    Returns:
        Name -> (steps int64 [n] ascending, values float64 [n]); where a resumed run repeated a
        step, the later value. What only TensorBoard shows is left out.

    """
    accumulator = EventAccumulator(str(directory), size_guidance={"tensors": 0, "images": 1})
    accumulator.Reload()
    curves = {}
    for tag in accumulator.Tags()["tensors"]:
        curve = curve_of(tag)
        plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        if curve is None or plugin != "scalars":
            continue
        by_step = {
            event.step: float(tf.make_ndarray(event.tensor_proto))
            for event in accumulator.Tensors(tag)
        }
        steps = sorted(by_step)
        curves[curve] = (np.array(steps, np.int64), np.array([by_step[step] for step in steps]))
    return curves
