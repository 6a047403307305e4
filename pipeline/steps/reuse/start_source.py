"""Start of a training: the weights that it took, by their content, which may change afterwards.

Nothing here needs TensorFlow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twofold.components.errors import ConfigError
from twofold.components.training.continuing.start_report import read_start
from twofold.components.training.continuing.weight_source import find_weights
from twofold.components.training.resuming.checkpoint_files import newest_intact
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_context import Context

# The key of the checksum of the weights that a training starts from, among what it is made from.
START = "start_from"
# The key of what is there instead since, of a training that went on all the same.
_SINCE = "start_from_since"


def start_values(context: Context) -> dict[str, Any]:
    """Fingerprints the content of the weights that training starts from, if it does from any.

    A training that has a checkpoint has taken them: it goes on, whatever is there now, unless it is
    to be replaced. Of a finished one, what is there counts, so that the user is asked, who may
    keep it.

    Raises:
        ConfigError: if there are none at the path, or they are the run's own.

    """
    config, run = context.config, context.run
    given = config.training.start_from
    if given is None:
        return {}
    _refuse_itself(given, run.path)
    entry = run.entry("pretrain")
    taken = _taken(context)
    if taken is None:
        if context.workers is not None and not context.workers.cluster.is_chief:
            # What the chief goes on from, this worker receives.
            now = _now(config)
            return {} if now is None else {START: now}
        return start_of(config)
    now = _now(config)
    if now in (None, taken) or _is_kept(context):
        return {START: taken}
    kept = entry.get("status") == "done" and entry.get(_SINCE) == now
    return {START: taken if kept else now}


def start_of(config: RunConfig) -> dict[str, Any]:
    """Fingerprints the content of the weights that a training would start from now.

    Raises:
        ConfigError: if there are none at the path.

    """
    given = config.training.start_from
    return {} if given is None else {START: find_weights(given).checksum()}


def changed_start(context: Context) -> dict[str, Any]:
    """Returns what is recorded of a training that is kept though its start is another now.

    Returns:
        The checksum of what is there now; empty where nothing changed.

    """
    return {_SINCE: _now(context.config)} if has_other_start(context) else {}


def has_other_start(context: Context) -> bool:
    """Tells whether other weights are there now than a training has taken."""
    taken = _taken(context)
    return taken is not None and _now(context.config) not in (None, taken)


def has_taken_start(context: Context) -> bool:
    """Tells whether a training has a checkpoint, and needs no weights to start from."""
    checkpoints = context.run.path / "checkpoints"
    given = context.config.training.start_from is not None
    return given and newest_intact(checkpoints) is not None


def _is_kept(context: Context) -> bool:
    if context.other_code == "reuse":
        return True
    done = context.run.entry("pretrain").get("status") == "done"
    return not done and not context.run.takes_over and has_taken_start(context)


def _taken(context: Context) -> str | None:
    """Returns the checksum of the weights that a training has taken from the same place."""
    run = context.run
    recorded = run.entry("pretrain").get("inputs", {}).get(START)
    began = read_start(run.path / "checkpoints") or {}
    return recorded if began.get("from") == context.config.training.start_from else None


def _now(config: RunConfig) -> str | None:
    """Returns the checksum of what is there now; None where there are no weights any more."""
    try:
        return start_of(config).get(START)
    except ConfigError:
        return None


def _refuse_itself(given: str, run: Path) -> None:
    path = Path(given).expanduser().resolve()
    if path == run.resolve() or path.is_relative_to((run / "checkpoints").resolve()):
        raise ConfigError(
            f"training.start_from={given} is this run itself: expected another run; more "
            f"training.epochs continue this one"
        )
