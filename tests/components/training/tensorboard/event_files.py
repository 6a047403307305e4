"""Event files, read back as TensorBoard reads them."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(directory: Path) -> EventAccumulator:
    """Gives everything that the event files of one directory hold."""
    accumulator = EventAccumulator(str(directory), size_guidance={"tensors": 0, "graph": 0})
    accumulator.Reload()
    return accumulator


def steps(directory: Path) -> dict[str, list[int]]:
    """Gives the steps of each tag's points, in the order in which they were written."""
    accumulator = read(directory)
    return {
        tag: [event.step for event in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }
