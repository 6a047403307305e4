"""Runs and comparisons to look at that no training made."""

import io
from typing import Any

import numpy as np
from PIL import Image

from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.evaluation.run_comparison import Group, MeasuredRun, compare
from twofold.components.pages.comparison_page import ComparedRun, ComparisonContent
from twofold.components.pages.run_page import (
    Confusion,
    Examples,
    Failure,
    Neighbour,
    Query,
    RunContent,
    StepCost,
)


def pixels(seed=0, side=8):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def png(seed=0):
    file = io.BytesIO()
    Image.fromarray(pixels(seed, 40)).save(file, "png")
    return file.getvalue()


def accuracy(name, right, total):
    low, high = binomial_interval(right, total)
    return {name: right / total, f"{name}_low": low, f"{name}_high": high}


def curves(scale=1.0):
    steps = np.arange(1, 30, dtype=np.int64)
    return {
        "loss": (steps, scale / steps),
        "online_probe/accuracy": (steps, 1 - scale / (1 + steps)),
        "learning_rate": (steps, 0.001 * np.cos(steps / 40)),
        "something_else": (steps, np.sqrt(steps)),
    }


METRICS = {
    **accuracy("linear_probe/test_accuracy", 940, 1000),
    "knn/test_accuracy": 0.91,
    "pretrain/loss": 3.21987,
    "pretrain/images_per_second": 3139.27,
    "export/bytes": 498662,
    **accuracy("label_fraction/0.01/test_accuracy", 600, 1000),
    **accuracy("label_fraction/0.1/test_accuracy", 800, 1000),
    "robustness/gaussian_noise/1/accuracy": 0.875,
    "robustness/gaussian_noise/3/accuracy": 0.625,
    "robustness/fog/1/accuracy": 0.5,
    "robustness/mean_accuracy": 0.6667,
}


def examples(name="cat"):
    neighbours = (
        Neighbour("train/1.png", name, 0.987, True, pixels(1)),
        Neighbour("train/2.png", "dog", 0.9, False, pixels(2)),
        Neighbour("train/3.png", "", 0.8, None, pixels(3)),
    )
    return Examples(
        queries=(Query("test/1.png", name, pixels(4), neighbours),),
        confusion=Confusion((name, "dog"), np.array([[8, 2], [1, 9]])),
        failures=(Failure("test/9.png", name, "dog", 0.973, pixels(5)),),
    )


def run_content(**changes):
    values = {
        "name": "first",
        "lineage": [("recipe", "quickstart"), ("data set", "dsprites-0123"), ("seed", "0")],
        "changed": [("training.epochs", "12", "60")],
        "configuration": "name: first\nseed: 0\n",
        "steps": [StepCost("pretrain", "done", 52.4), StepCost("export", "failed", 1.5, "no room")],
        "metrics": METRICS,
        "held_out": 1000,
        "curves": curves(),
        "teacher_curves": curves(2.0),
        "figures": {
            name: png()
            for name in (
                "views",
                "dictionary",
                "reconstructions",
                "rsm",
                "rsm_histogram",
                "reliability",
                "odd",
            )
        },
        "examples": examples(),
        "notes": ["The step export did not finish (failed): no room."],
        "facts": [("training steps", "768")],
        "links": [("report of the data set", "../datasets/a%20b/dataset_report.html")],
    }
    return RunContent(**(values | changes))


EMPTY = {
    "lineage": [],
    "changed": [],
    "metrics": {},
    "held_out": 0,
    "curves": {},
    "teacher_curves": {},
    "figures": {},
    "examples": Examples(),
    "notes": [],
    "facts": [],
    "links": [],
}


def comparison_content(**changes):
    runs = [
        MeasuredRun("first", METRICS, 1000),
        MeasuredRun(
            "second", {**METRICS, **accuracy("linear_probe/test_accuracy", 700, 1000)}, 1000
        ),
    ]
    groups = [Group(run.name, (run,)) for run in runs]
    values: dict[str, Any] = {
        "groups": groups,
        "rows": compare(groups),
        "runs": [ComparedRun(run.name, n, curves(1 + n), png(n)) for n, run in enumerate(runs)],
        "settings": [("training.epochs", ["12", "3"])],
        "costs": [("seconds of pretrain", [52.4, None])],
        "datasets": [("dsprites-0123", "f" * 64)] * 2,
    }
    return ComparisonContent(**(values | changes))
