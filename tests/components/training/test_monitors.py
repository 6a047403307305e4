"""The rules decide as Keras's callbacks do, and go on where they were after a resume."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.monitors import Decision, EarlyStopping, ReduceOnPlateau

# Multiples of 1/8 are exact in single precision, which Keras compares in.
SEQUENCES = np.random.default_rng(0).integers(-8, 8, (10, 25)) / 8
RULES = pytest.mark.parametrize("mode", ["min", "max"])
DELTAS = pytest.mark.parametrize("min_delta", [0.0, 0.25])


@RULES
@DELTAS
@pytest.mark.parametrize("patience", [1, 3])
def test_stops_when_keras_does(mode, min_delta, patience):
    for values in SEQUENCES:
        callback = keras.callbacks.EarlyStopping(
            "value", min_delta=min_delta, patience=patience, mode=mode
        )
        callback.set_model(types.SimpleNamespace(stop_training=False))
        callback.on_train_begin()
        stopping = EarlyStopping(patience, mode, min_delta)
        for epoch, value in enumerate(values):
            callback.on_epoch_end(epoch, {"value": value})
            decision = stopping.observe(float(value))
            assert decision.improved == (callback.best_epoch == epoch)
            assert decision.should_stop == stopping.stopped == callback.model.stop_training
            if decision.should_stop:
                break


@RULES
@DELTAS
@pytest.mark.parametrize("patience", [1, 3])
def test_reduces_when_keras_does(mode, min_delta, patience):
    for values in SEQUENCES:
        model = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=1.0))
        callback = keras.callbacks.ReduceLROnPlateau(
            "value", factor=0.5, patience=patience, mode=mode, min_delta=min_delta
        )
        callback.set_model(model)
        callback.on_train_begin()
        scale = tf.Variable(1.0)
        plateau = ReduceOnPlateau(scale, 0.5, patience, mode, min_delta)
        for epoch, value in enumerate(values):
            before = float(scale.numpy())
            callback.on_epoch_end(epoch, {"value": value})
            decision = plateau.observe(float(value))
            assert float(scale.numpy()) == model.optimizer.learning_rate
            assert decision.reduced == (float(scale.numpy()) < before)


def test_what_is_no_number_is_no_improvement():
    stopping = EarlyStopping(patience=2)

    assert stopping.observe(float("nan")) == Decision(improved=False)
    assert stopping.observe(1.0) == Decision(improved=True)
    assert stopping.observe(float("nan")) == Decision(improved=False)
    assert stopping.observe(float("nan")) == Decision(improved=False, should_stop=True)


@pytest.mark.parametrize("cut", range(0, 24, 6))
def test_a_resumed_run_decides_as_an_uninterrupted_one(tmp_path, cut):
    def rules():
        scale = tf.Variable(1.0)
        plateau, stopping = ReduceOnPlateau(scale, 0.5, 2), EarlyStopping(4)
        return (plateau, stopping), tf.train.Checkpoint(
            scale=scale, plateau=plateau, stopping=stopping
        )

    values = [float(value) for value in SEQUENCES[0]]
    whole, whole_state = rules()
    first, first_state = rules()
    decisions = [[rule.observe(value) for rule in whole] for value in values]
    for value in values[:cut]:
        for rule in first:
            rule.observe(value)
    path = first_state.write(str(tmp_path / "state"))
    second, second_state = rules()
    second_state.read(path).assert_consumed()

    assert [[rule.observe(value) for rule in second] for value in values[cut:]] == decisions[cut:]
    assert second_state.scale.numpy() == whole_state.scale.numpy()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EarlyStopping(0), "patience must be at least 1, received 0"),
        (lambda: EarlyStopping(1, "auto"), "unknown mode 'auto': expected one of min, max"),  # type: ignore[arg-type]
        (lambda: EarlyStopping(1, min_delta=-1.0), r"min_delta must be at least 0, received -1\.0"),
        (lambda: ReduceOnPlateau(tf.Variable(1.0), 1.0, 3), "factor must be above 0 and below 1"),
    ],
)
def test_impossible_rules_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
