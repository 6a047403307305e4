"""Plots of a training: the views it draws, and what its method has learned; in TensorBoard, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.data.reading.split import Split
from twofold.components.evaluation.plots.run_plots import plot_dictionary, plot_views
from twofold.components.training.method import Method
from twofold.components.training.step import PROBE_VIEW
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.views import make_views
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import build_training_views

_IMAGES = 10


def plot_training_views(config: RunConfig, split: Split, run: Path) -> None:
    """Draws two views of a split's first images, as the first step of training might see them.

    Where the probe has views of its own, one of them stands above these.

    Args:
        config: of the run.
        split: of the images that it trains on.
        run: its directory.

    """
    originals = np.asarray(split.images[:_IMAGES])
    keys = keyed_random.image_keys(
        config.seed, tf.constant(0, tf.int64), tf.range(len(originals), dtype=tf.int64)
    )
    images = tf.constant(originals)
    views = {
        f"view {number}": view
        for number, view in enumerate(build_training_views(config)(images, keys), start=1)
    }
    if config.probe_views is not None:
        probe_keys = keyed_random.fold_in(keys, PROBE_VIEW)
        (probed,) = make_views((build_view(config.probe_views, config.seed),), images, probe_keys)
        views = {"the probe's view": probed, **views}
    path = run / "figures" / "views.png"
    plot_views(originals, np.stack(list(views.values())), path, name=list(views))
    _show_in_tensorboard(run, path)


def plot_learned(method: Method, split: Split, run: Path) -> None:
    """Draws what a finished method makes of a split's first images, if it shows anything.

    Args:
        method: with its finished networks.
        split: of the images to show it by.
        run: the directory of the run.

    """
    for name, picture in method.pictures(np.asarray(split.images[:_IMAGES])).items():
        path = run / "figures" / f"{name}.png"
        if picture.originals is None:
            plot_dictionary(picture.images, path)
        else:
            plot_views(picture.originals, picture.images[None], path, name=picture.name)
        _show_in_tensorboard(run, path)


def _show_in_tensorboard(run: Path, path: Path) -> None:
    writer = TensorBoardWriter(run / "tensorboard", part=path.stem)
    writer.image(0, f"figures/{path.stem}", path)
    writer.close()
