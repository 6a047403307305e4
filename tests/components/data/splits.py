"""Splits in memory whose images tell their rows, for the tests of what is drawn from splits."""

import dataclasses
import itertools

import numpy as np

from twofold.components.data.reading.reader import batches, mixed_batches
from twofold.components.data.reading.row_streams import iterate
from twofold.components.data.reading.split import Split


def rows(count, name="train"):
    """A split of `count` tiny images whose every pixel is the row's number."""
    numbers = np.arange(count)
    return Split(
        images=np.broadcast_to(numbers[:, None, None, None], (count, 2, 3, 1)).astype(np.uint8),
        labels=numbers.astype(np.int32),
        keys=np.array([f"key/{number}" for number in numbers]),
        latents=np.zeros((count, 0), np.float32),
        class_names=(),
        latent_names=(),
        name=name,
    )


def partly_labelled(count, labelled, name="train"):
    """`rows`, of which only every row below `labelled` keeps its label."""
    split = rows(count, name)
    return dataclasses.replace(split, labels=np.where(split.labels < labelled, split.labels, -1))


def indices(split, **arguments):
    """Each element's rows."""
    elements = batches(split, fields=["index"], **arguments)
    return [element["index"].numpy().tolist() for element in iterate(elements)]


def mixed_indices(unlabelled, labelled, **arguments):
    """Each element's rows of the two streams."""
    arguments = {"seed": 0, "first_step": 0, **arguments}
    share = arguments["labelled_batch_size"] // arguments.get("replicas", 1)
    elements = mixed_batches(unlabelled, labelled, **arguments).as_numpy_iterator()
    found = [element["index"].tolist() for element in elements]
    return [index[:-share] for index in found], [index[-share:] for index in found]


def joined(parts):
    return list(itertools.chain.from_iterable(parts))
