"""Prints, as JSON, what MLflow and wandb kept of a training; run in their environment."""

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The log's blocks and the headers of its records, as LevelDB has them.
_BLOCK, _HEADER = 32768, 7


def read_mlflow() -> list[dict[str, Any]]:
    """The runs of the experiment."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
    return [
        {
            "status": run.info.status,
            "name": run.info.run_name,
            "parameters": run.data.params,
            "artifacts": [one.path for one in client.list_artifacts(run.info.run_id)],
            "loss": [
                (one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")
            ],
        }
        for run in client.search_runs([experiment.experiment_id])
    ]


def read_wandb(folder: Path) -> list[dict[str, Any]]:
    """The attempts of a run, from the files that would be sent."""
    from wandb.proto.wandb_internal_pb2 import Record

    attempts = []
    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        attempt: dict[str, Any] = {"loss": [], "ended": False}
        for content in _records(path.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                attempt |= {"id": record.run.run_id, "project": record.run.project}
                attempt["configuration"] = {
                    one.key: json.loads(one.value_json) for one in record.run.config.update
                }
            if record.HasField("history"):
                row = {
                    one.key or ".".join(one.nested_key): json.loads(one.value_json)
                    for one in record.history.item
                }
                attempt["loss"].append((row["step"], row["loss"]))
            attempt["ended"] |= record.HasField("exit")
        attempts.append(attempt)
    return attempts


def _records(log: bytes) -> Iterator[bytes]:
    position, content = _HEADER, b""
    while position + _HEADER <= len(log):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", log, position)
        position += _HEADER
        content += log[position : position + length]
        position += length
        # Whole, or the last of its parts.
        if kind in (1, 4):
            yield content
            content = b""


if __name__ == "__main__":
    found = {"mlflow": read_mlflow(), "wandb": read_wandb(Path(sys.argv[1]))}
    print(json.dumps(found))
