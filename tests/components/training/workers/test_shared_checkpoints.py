"""All workers go on from the chief's checkpoint, whatever they had, and the chief alone writes."""

import errno

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.training.workers.as_threads import work
from twofold.components.errors import CheckpointError, TrainingDivergedError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.resuming.checkpoint_files import list_checkpoints
from twofold.components.training.resuming.weights_files import write_weights
from twofold.components.training.step import TrainState
from twofold.components.training.workers.shared_checkpoints import (
    SharedCheckpoints,
    share_directory,
)


class Worker:
    """A worker's state of one weight, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        self.state = TrainState({"encoder": self.model}, keras.optimizers.SGD(0.1))
        self.state.build()
        self.own = Checkpoints(directory, self.state, beside=directory / "best")

    def at(self, step, weight):
        self.state.steps.assign(step)
        self.model.layers[0].kernel.assign([[weight]])
        return self

    def saved(self, step, weight, interval=()):
        """Has a checkpoint, which it forgets of."""
        self.at(step, weight).own.save(interval)
        self.own.wait()
        return self.at(0, 0.0)

    @property
    def found(self):
        return self.state.step, float(self.model.layers[0].kernel.numpy()[0, 0])

    def shared(self, group):
        return SharedCheckpoints(self.own, self.directory, group)


@pytest.fixture
def workers(tmp_path):
    return [Worker(tmp_path / name) for name in ("chief", "first", "second")]


def _restore(workers):
    return work(*[lambda group, one=one: one.shared(group).restore() for one in workers])


def _steps(worker):
    return [found.step for found in list_checkpoints(worker.directory)]


def test_a_worker_of_another_step_or_an_empty_disk_goes_on_where_the_chief_does(workers):
    chief, other, _ = workers
    chief.saved(14, 1.0).saved(21, 2.0, [{"loss": 0.25}])
    write_weights(other.directory / "best", {"encoder": other.model})
    other.saved(28, 3.0)
    resumptions = _restore(workers)
    assert [one.step for one in resumptions] == [21, 21, 21]
    assert [one.interval for one in resumptions] == [[{"loss": 0.25}]] * 3
    assert [one.found for one in workers] == [(21, 2.0)] * 3
    assert _steps(other) == [21]


def test_what_belongs_to_the_chiefs_checkpoint_comes_with_it(workers):
    chief, other, _ = workers
    write_weights(chief.directory / "best", {"encoder": chief.at(7, 5.0).model})
    chief.saved(7, 6.0)
    _restore(workers)
    index = "best/weights.index"
    assert (other.directory / index).read_bytes() == (chief.directory / index).read_bytes()


def test_what_the_chiefs_checkpoint_does_not_hold_goes(workers):
    chief, other, _ = workers
    write_weights(other.directory / "best", {"encoder": other.model})
    chief.saved(7, 6.0)
    write_weights(chief.directory / "best", {"encoder": chief.model})
    _restore(workers)
    assert not (chief.directory / "best").exists()
    assert not (other.directory / "best").exists()


def test_a_chief_without_a_checkpoint_begins_anew_with_all(workers):
    workers[1].saved(14, 1.0)
    assert [one.step for one in _restore(workers)] == [0, 0, 0]
    assert [one.found for one in workers] == [(0, pytest.approx(one.found[1])) for one in workers]
    assert [_steps(one) for one in workers] == [[], [], []]


def test_a_damaged_copy_is_noticed(workers, monkeypatch):
    chief, other, _ = workers
    chief.saved(21, 2.0)
    monkeypatch.setattr(
        other.own, "restore", Checkpoints(other.directory / "none", other.state).restore
    )
    errors = _restore(workers)
    assert all(isinstance(error, CheckpointError) for error in errors)
    assert "worker 1" in str(errors[0])
    assert "goes on from step 0, expected step 21" in str(errors[0])


def test_the_chief_alone_writes(workers):
    def save(group, one):
        shared = one.at(4, 1.0).shared(group)
        shared.save()
        shared.wait()

    work(*[lambda group, one=one: save(group, one) for one in workers])
    assert [_steps(one) for one in workers] == [[4], [], []]


@pytest.mark.parametrize(
    ("weight", "in_chief", "elsewhere"),
    [
        (np.nan, TrainingDivergedError, TrainingDivergedError),
        (1.0, OSError, CheckpointError),
    ],
)
def test_a_checkpoint_that_cannot_be_written_ends_all(
    workers, monkeypatch, weight, in_chief, elsewhere
):
    def fail(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "no space left")

    if in_chief is OSError:
        monkeypatch.setattr(workers[0].own, "_write", fail)

    def save(group, one):
        shared = one.at(4, weight).shared(group)
        shared.save()
        shared.wait()

    errors = work(*[lambda group, one=one: save(group, one) for one in workers])
    assert [type(error) for error in errors[1:]] == [elsewhere] * 2
    assert isinstance(errors[0], in_chief)


def test_all_roll_back_to_the_same_checkpoint(workers):
    workers[0].saved(4, 1.0).saved(8, 2.0)
    results = work(*[lambda group, one=one: one.shared(group).roll_back(8) for one in workers])
    assert [one.step for one in results] == [4, 4, 4]
    assert [one.found for one in workers] == [(4, 1.0)] * 3
    nowhere = work(*[lambda group, one=one: one.shared(group).roll_back(4) for one in workers])
    assert nowhere == [None] * 3


def test_finished_weights_are_the_chiefs(tmp_path):
    (tmp_path / "chief").mkdir()
    (tmp_path / "chief" / "weights.index").write_bytes(b"finished")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "weights.index").write_bytes(b"of another training")
    results = work(
        lambda group: share_directory(group, tmp_path / "chief", there=True),
        lambda group: share_directory(group, tmp_path / "other", there=False),
    )
    assert results == [True, True]
    assert (tmp_path / "other" / "weights.index").read_bytes() == b"finished"
    results = work(
        lambda group: share_directory(group, tmp_path / "neither", there=False),
        lambda group: share_directory(group, tmp_path / "other", there=True),
    )
    assert results == [False, False]
    assert not (tmp_path / "other").exists()


def test_losses_of_tensorflow_are_named(tmp_path):
    from twofold.components.training.workers.lost_workers import naming_lost_workers
    from twofold.components.training.workers.worker_group import WorkerLost

    def chief(group):
        group.exchange(1)
        with naming_lost_workers(group):
            text = "Graph execution error: " + "a line of the graph\n" * 100
            raise tf.errors.UnavailableError(
                None, None, f"{text} Collective ops is aborted by: ..."
            )

    def worker(group):
        group.exchange(1)
        raise MemoryError("killed")

    lost, _ = work(chief, worker)
    assert isinstance(lost, WorkerLost)
    assert "worker 1 (localhost:" in str(lost)
    assert "ended: killed" in str(lost)
    assert len(str(lost)) < 100
