"""Profiles of chosen steps."""

from pathlib import Path

import tensorflow as tf

from twofold.components.training.tensorboard.profiler import Profiler


def profiles(directory: Path) -> list[Path]:
    return sorted(directory.glob("plugins/profile/*/*.xplane.pb"))


def test_chosen_steps_leave_a_profile_and_others_none(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, (2, 3))
    found = []
    for step in range(1, 5):
        with profiler.of_step(step):
            tf.reduce_sum(tf.ones([4]))
        found.append(len(profiles(tmp_path)))
    profiler.close()

    assert found == [0, 0, 1, 1]


def test_what_was_recorded_until_an_interruption_is_kept(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, (1, 100))
    with profiler.of_step(1):
        tf.reduce_sum(tf.ones([4]))
    profiler.close()

    assert len(profiles(tmp_path)) == 1


def test_without_steps_nothing_is_recorded(tmp_path: Path) -> None:
    with Profiler(tmp_path, None).of_step(1):
        pass
    assert not list(tmp_path.iterdir())
