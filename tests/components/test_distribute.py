"""Which strategy is chosen, and how variables are assigned on any of them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components import distribute
from twofold.components.errors import SettingsError


def test_one_device_needs_no_mirrors():
    assert distribute.make_strategy(1) is tf.distribute.get_strategy()
    assert distribute.make_strategy().num_replicas_in_sync == 1


def test_more_replicas_than_devices_are_refused():
    tf.config.list_logical_devices()  # Starts TensorFlow, whose devices are then fixed.
    with pytest.raises(ValueError, match=r"training\.replicas=64 needs 64"):
        distribute.make_strategy(64)
    with pytest.raises(ValueError, match="at least 1, received 0"):
        distribute.make_strategy(0)


@pytest.mark.parametrize("text", ["{", '{"cluster": [1]}', '{"cluster": {"worker": 3}}'])
def test_a_cluster_that_cannot_be_read_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingsError, match=r"TF_CONFIG describes no cluster: .*HOST:PORT"):
        distribute.make_strategy(1)


def test_a_cluster_of_one_worker_is_one_machine(monkeypatch):
    cluster = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert distribute.make_strategy(1) is tf.distribute.get_strategy()


def test_workers_that_have_another_number_of_devices_are_refused(monkeypatch):
    class TwoWorkers:
        num_replicas_in_sync = 2

        def __init__(self, communication_options):
            pass

    cluster = {
        "cluster": {"chief": ["localhost:1"], "worker": ["localhost:2"]},
        "task": {"type": "chief", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", TwoWorkers)
    assert isinstance(distribute.make_strategy(2), TwoWorkers)
    with pytest.raises(ValueError, match=r"training\.replicas=3, .* have 2 devices"):
        distribute.make_strategy(3)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("inside", [True, False])
def test_assigning_changes_every_replica(replicas, inside):
    strategy = strategy_of(replicas)
    with strategy.scope():
        weights = [keras.Variable(np.zeros(2, np.float32)) for _ in range(2)]
    values = [tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])]

    if inside:
        tf.function(lambda: strategy.run(lambda: distribute.assign(weights, values)))()
    else:
        with strategy.scope():
            distribute.assign(weights, values)

    for weight, value in zip(weights, values, strict=True):
        for copy in strategy.experimental_local_results(weight.value):
            np.testing.assert_array_equal(copy, value)


@pytest.mark.parametrize("replicas", [1, 2])
def test_gathering_keeps_the_order_of_the_replicas(replicas):
    strategy = strategy_of(replicas)

    @tf.function
    def step():
        def replica_step():
            rows = tf.range(2) + distribute.first_row(tf.constant(2))
            return distribute.gather(rows, axis=0), distribute.sum_over_replicas(tf.constant(3.0))

        return strategy.run(replica_step)

    rows, total = step()
    for copy in strategy.experimental_local_results(rows):
        np.testing.assert_array_equal(copy, np.arange(2 * replicas))
    for copy in strategy.experimental_local_results(total):
        assert float(copy) == 3.0 * replicas
