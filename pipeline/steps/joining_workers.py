"""Agreement of workers before they train: configuration, images and code are the same for all."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from twofold.components import cluster
from twofold.components.errors import UsageError
from twofold.components.training.workers.worker_group import Group
from twofold.pipeline.runs.code_fingerprint import changed_modules
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.fingerprints import step_code, step_values
from twofold.pipeline.steps.reuse.start_source import START, has_taken_start

_PACKAGES = ("tensorflow", "keras", "numpy")
_SETTINGS = ("seed", "views", "second_views", "probe_views", "encoder", "method", "training")
# What must be equal, what that is called, and what to do where it is not.
_KINDS = {
    "settings": (
        "another configuration",
        "start all workers with the same recipe and the same options",
    ),
    "images": (
        "other training images, or weights to start from,",
        "give all workers the same files, or copies of the chief's",
    ),
    "code": ("other code", "install the same version on all workers"),
    "machine": ("another number of devices or other versions", "make the workers alike"),
}
_MOST_NAMED = 3


def agree_before_training(context: Context) -> None:
    """Makes sure that all workers of a run train the same, before TensorFlow lets them join.

    Raises:
        UsageError: naming what differs and on which worker; in all workers. Also if ``TF_CONFIG``
            names workers where none are expected.
        WorkerLost: if one of them is gone.

    """
    if context.workers is None:
        if len(cluster.read_cluster().addresses) > 1:
            raise UsageError(
                f"{cluster.VARIABLE} names several workers, which train one recipe by `twofold "
                f"run` or `twofold pretrain`: unset it to train here alone"
            )
        return
    facts = _facts(context)
    if context.workers.exchange(has_taken_start(context))[0]:
        facts["images"].pop(START, None)
    compare(context.workers, facts)


def compare(workers: Group, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Exchanges facts that must be equal in all workers.

    Args:
        workers: of the run.
        facts: of this worker, by the names of ``_KINDS``, as JSON takes them.

    Raises:
        UsageError: naming what differs and on which worker.

    """
    all_facts = workers.exchange(facts)
    for index, others in enumerate(all_facts):
        for kind, (what, advice) in _KINDS.items():
            chief = all_facts[0][kind]
            if kind == "code":
                differences = changed_modules(chief, others[kind])
            else:
                differences = list(_differences(others[kind], chief))
            if not differences:
                continue
            named = "; ".join(differences[:_MOST_NAMED])
            more = len(differences) - _MOST_NAMED
            raise UsageError(
                f"{workers.cluster.name(index)} has {what} than the chief: {named}"
                f"{f' and {more} more' if more > 0 else ''}: {advice}"
            )


def _facts(context: Context) -> dict[str, dict[str, Any]]:
    values, settings = step_values("pretrain", context), context.config.model_dump(mode="json")
    return {
        "settings": {key: settings[key] for key in _SETTINGS},
        "images": {key: value for key, value in values.items() if key not in _SETTINGS},
        "code": dict(step_code("pretrain", context).modules),
        "machine": {
            "devices": len(tf.config.list_physical_devices("GPU")) or "the CPU",
            "python": ".".join(platform.python_version_tuple()[:2]),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


def _differences(there: Any, chief: Any, path: str = "") -> Iterator[str]:
    if isinstance(there, dict) and isinstance(chief, dict):
        for key in sorted({*there, *chief}):
            below = f"{path}.{key}" if path else key
            yield from _differences(there.get(key), chief.get(key), below)
    elif there != chief:
        yield f"{path} is {there} there and {chief} at the chief"
