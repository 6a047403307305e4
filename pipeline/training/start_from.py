"""Start of a stage from another training's weights, which is said and recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from twofold.components.encoders.build import read_torch_weights
from twofold.components.errors import CheckpointError, ConfigError
from twofold.components.training.continuing.start_report import (
    describe_start,
    some_of,
    write_start,
)
from twofold.components.training.continuing.start_weights import (
    Taken,
    follow_start,
    read_networks,
    take_weights,
)
from twofold.components.training.continuing.weight_source import WeightSource, find_weights
from twofold.components.training.resuming.checkpoint_files import newest_intact
from twofold.components.training.step import TrainState
from twofold.components.training.workers.worker_group import Group
from twofold.pipeline.config import RunConfig


def start_from(
    config: RunConfig,
    state: TrainState,
    checkpoints: Path,
    say: Callable[[str], None],
    workers: Group | None = None,
) -> None:
    """Gives a training that begins the weights of ``training.start_from``, as far as they fit.

    A training that has a checkpoint goes on from that. Whatever is not taken keeps its first
    weights; momentum networks begin as copies of those that they follow, and everything else, the
    optimizer, queues and averages, as in any training.

    Args:
        config: of the stage.
        state: built, in the strategy's scope.
        checkpoints: of the stage.
        say: told what was taken and what was not.
        workers: whose chief's checkpoints are those that count; None where there is one worker.

    Raises:
        ConfigError: if there are no weights at the path, they cannot be read, or the encoder can
            take none of them.

    """
    given = config.training.start_from
    if given is None:
        return
    has_begun = newest_intact(checkpoints) is not None
    if workers is not None:
        has_begun = bool(workers.exchange(has_begun)[0])
    if has_begun:
        return
    source = find_weights(given)
    wanted = dict(state.models)
    if config.training.start_with == "encoder":
        wanted = {"encoder": state.models["encoder"]}
    taken, others = take_start(config, source, wanted)
    followed = follow_start(state.models, state.memory)
    report = {
        "from": given,
        "weights": source.name,
        "networks": {name: dataclasses.asdict(one) for name, one in taken.items()},
        "not_taken": others,
        "as_at_the_start": sorted((state.models.keys() - taken.keys()) | set(followed)),
    }
    write_start(checkpoints, report)
    for line in describe_start(report):
        say(line)


def take_start(
    config: RunConfig, source: WeightSource, wanted: Mapping[str, keras.Model]
) -> tuple[dict[str, Taken], list[str]]:
    """Gives networks the weights that they have in a source, as far as they fit.

    Args:
        config: of the stage.
        source: of ``training.start_from``; a PyTorch file has an encoder alone.
        wanted: networks by name, "encoder" among them.

    Returns:
        What each that was looked for took, and what else there is.

    Raises:
        ConfigError: if the weights cannot be read, or the encoder can take none of them.

    """
    named, encoder = f"training.start_from={config.training.start_from}", wanted["encoder"]
    try:
        if source.kind == "torch":
            read_torch_weights(config.encoder.name, encoder, source.path)
            count = len(encoder.variables)
            return {"encoder": Taken(count, count)}, []
        there = read_networks(source.path, wanted)
    except CheckpointError as error:
        raise ConfigError(f"{named}: {error}") from None
    taken = {name: take_weights(one, there.get(name, {})) for name, one in wanted.items()}
    if not taken["encoder"].weights:
        raise ConfigError(
            f"{named}: the encoder can take none of its weights "
            f"({some_of(taken['encoder'].left)}): expected an encoder with layers of the same "
            f"names and shapes"
        )
    return taken, sorted(there.keys() - taken.keys())
