"""Two workers, each a process of its own, train as one device does on the same global batch."""

import json
import os
import pickle
import socket
import sys

import pytest

from tests import forked
from tests.components.training.trained import assert_alike, float64, train_on

# Between them: rows gathered and enqueued, sums over all replicas, and labels in some rows only.
# Replicas of one process train every form (``test_replicas``).
FORMS = ("nnclr", "barlow_twins")
WORKERS = 2
TIMEOUT_SECONDS = 240


@pytest.fixture(autouse=True, scope="module")
def _float64():
    with float64():
        yield


def _free_addresses():
    """Finds ports that are free, all at once, or one might be found twice."""
    sockets = [socket.socket() for _ in range(WORKERS)]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def _start(index, addresses, directory):
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    command = [sys.executable, "-m", "tests.components.training.worker"]
    output = directory / f"worker-{index}"
    output.mkdir()
    return forked.Forked(
        [*command, str(directory / f"{index}.pickle"), *FORMS],
        output,
        env=os.environ | {"TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": "-1"},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each worker has trained, while this process trains the same on one device."""
    directory = tmp_path_factory.mktemp("workers")
    addresses = _free_addresses()
    workers = [_start(index, addresses, directory) for index in range(WORKERS)]
    try:
        for form in FORMS:
            train_on(1, form)
        codes = [worker.wait(TIMEOUT_SECONDS) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    logs = "\n".join(worker.text(2) for worker in workers)
    assert codes == [0] * WORKERS, logs
    return [pickle.loads(path.read_bytes()) for path in sorted(directory.glob("*.pickle"))]


@pytest.mark.parametrize("form", FORMS)
def test_every_worker_equals_one_device(trained, form):
    for replicas, forms in trained:
        assert replicas == WORKERS
        assert_alike(forms[form], train_on(1, form))
