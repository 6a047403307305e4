"""Any number of replicas trains as one device does on the same global batch."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.encoders import build_encoder
from components.encoders.heads import build_linear_head, build_projector
from components.methods.simclr import SimCLR
from components.training.step import OnlineProbe, TrainState, build_train_step
from tests.strategies import strategy_of

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 12, 12, 1), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(-1, 3, (3, 16), dtype=np.int32)
IDENTITIES = np.arange(48, dtype=np.int64).reshape(3, 16) * 7_919


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """Single precision would hide a wrong scale behind its rounding."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def _slice(strategy: tf.distribute.Strategy, step: int) -> dict[str, tf.Tensor]:
    rows = 16 // strategy.num_replicas_in_sync

    def part(
        context: tf.distribute.ReplicaContext | tf.distribute.InputContext,
    ) -> dict[str, tf.Tensor]:
        start = context.replica_id_in_sync_group * rows
        chosen = slice(start, start + rows)
        return {
            "image": tf.constant(IMAGES[step, chosen]),
            "label": tf.constant(LABELS[step, chosen]),
            "identity": tf.constant(IDENTITIES[step, chosen]),
        }

    if strategy.num_replicas_in_sync == 1:
        return {
            "image": tf.constant(IMAGES[step]),
            "label": tf.constant(LABELS[step]),
            "identity": tf.constant(IDENTITIES[step]),
        }
    return strategy.experimental_distribute_values_from_function(part)


def _shift_by_key(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """A view that is exact in every batch size: brightness from the image's own key."""
    factor = tf.cast(keys % 1000, tf.float32) / 1000.0
    return images * factor[:, None, None, None]


def _train(
    replicas: int, projector_units: tuple[int, ...]
) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    strategy = strategy_of(replicas)
    with strategy.scope():
        encoder = build_encoder("core", (12, 12, 1), seed=3, filters=(4,), units=(8, 6))
        projector = build_projector(6, seed=3, units=projector_units)
        head = build_linear_head(6, 3, seed=3)
        # SGD shows the scale of a gradient, which Adam would divide away.
        state = TrainState(
            {"encoder": encoder, "projector": projector},
            keras.optimizers.SGD(0.5),
            OnlineProbe(head, keras.optimizers.SGD(0.5)),
        )
        state.build()
    method = SimCLR(encoder, projector, _shift_by_key, temperature=0.2, compile_views=False)
    step = build_train_step(strategy, method, state, seed=11)
    metrics = [
        {name: float(value) for name, value in step(_slice(strategy, index)).items()}
        for index in range(3)
    ]
    weights = [np.asarray(v) for model in (encoder, projector, head) for v in model.variables]
    return metrics, weights


@pytest.mark.parametrize("projector_units", [(), (8, 4)], ids=["identity", "two layers"])
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_equal_one_device(replicas: int, projector_units: tuple[int, ...]) -> None:
    metrics, weights = _train(replicas, projector_units)
    expected_metrics, expected_weights = _train(1, projector_units)
    for one, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    for one, other in zip(metrics, expected_metrics, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"feature_std"}:
            # Metrics are reported in single precision.
            assert one[name] == pytest.approx(other[name], abs=1e-6), name


def test_training_moves_the_weights() -> None:
    _, weights = _train(1, (8, 4))
    fresh = build_encoder("core", (12, 12, 1), seed=3, filters=(4,), units=(8, 6))
    assert not np.allclose(weights[0], np.asarray(fresh.variables[0]), atol=1e-6)
