"""Several training steps in one call, a loop of the graph, so that a GPU waits for no host.

Between two calls of a step the host does some milliseconds of work: Python, the arguments, several
hundred variables. A GPU that makes a step in less than that stands still in between. Within one
call it has the next step as soon as it has made the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from twofold.components.training.step import Batch, TrainStep

# Of batches of one shape, at most as many as were asked for, to the metrics of their steps, each of
# shape [steps].
TrainSteps = Callable[[Sequence[Batch]], Mapping[str, tf.Tensor]]


def build_several_steps(
    strategy: tf.distribute.Strategy, train_step: TrainStep, most: int
) -> TrainSteps:
    """Builds what makes up to ``most`` updates in one call, the same ones as one by one.

    Args:
        strategy: of the step.
        train_step: of ``build_train_step``.
        most: how many steps a call may make, at least 2. A device holds as many batches, twice.

    Returns:
        A function of 1 to ``most`` batches. However many they are, it is traced once for each shape
        that batches have.

    """
    if most < 2:
        raise ValueError(f"most must be at least 2, received {most}")

    @tf.function(autograph=False)
    def make(batches: tuple[Batch, ...], count: tf.Tensor) -> dict[str, tf.Tensor]:
        held = strategy.run(_stack, args=(batches,))
        first = train_step(_at(strategy, held, tf.constant(0)))
        names = list(first)
        filled = [tf.fill([most], first[name]) for name in names]

        def body(index: tf.Tensor, *metrics: tf.Tensor) -> tuple[tf.Tensor, ...]:
            made = train_step(_at(strategy, held, index))
            here = tf.equal(tf.range(most), index)
            values = [
                tf.where(here, made[name], before)
                for name, before in zip(names, metrics, strict=True)
            ]
            return (index + 1, *values)

        _, *metrics = tf.while_loop(
            lambda index, *_: index < count,
            body,
            (tf.constant(1), *filled),
            # Each step needs the weights of the one before.
            parallel_iterations=1,
        )
        return dict(zip(names, metrics, strict=True))

    def train_steps(batches: Sequence[Batch]) -> Mapping[str, tf.Tensor]:
        count = len(batches)
        # Filled up, so that there is one graph for any number.
        filled = (*batches, *[batches[-1]] * (most - count))
        metrics = make(filled, tf.constant(count))
        return {name: values[:count] for name, values in metrics.items()}

    return train_steps


def _stack(batches: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
    return {name: tf.stack([batch[name] for batch in batches]) for name in batches[0]}


def _at(strategy: tf.distribute.Strategy, held: Batch, index: tf.Tensor) -> Batch:
    batch: Batch = strategy.run(
        lambda stacked: {name: values[index] for name, values in stacked.items()}, args=(held,)
    )
    return batch
