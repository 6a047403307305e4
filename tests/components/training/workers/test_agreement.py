"""Workers save and stop at the same step, whatever each of them has been told."""

from tests.components.training.workers.as_threads import work
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.workers.agreement import Agreement


def _train(steps, *, late=lambda step: False, told=lambda step, stop: None, clock):
    """Makes a worker's job of the answers to its steps."""

    def job(group):
        stop = StopRequest()
        agreement = Agreement(group, stop, seconds=2.0, clock=clock)
        answers = []
        for step in range(1, steps + 1):
            told(step, stop)
            answers.append(agreement(step, late=late(step)))
        return answers, stop.told

    return job


def _clock(seconds):
    """Gives a clock that goes on by so many seconds whenever it is asked."""
    return iter(float(seconds * asked) for asked in range(10_000)).__next__


def test_the_clock_of_the_chief_decides_when_all_save():
    chief = _train(4, late=lambda step: step == 3, clock=_clock(9))
    worker = _train(4, late=lambda step: step == 2, clock=_clock(5))
    (saved, _), (likewise, _) = work(chief, worker)
    assert saved == likewise == [(False, False), (False, False), (True, False), (False, False)]


def test_a_signal_at_any_worker_ends_all_at_one_step():
    def told(step, stop):
        if step == 2:
            stop.take_over("SIGTERM", 143)

    (ended, reason), (likewise, own) = work(
        _train(2, clock=_clock(9)), _train(2, told=told, clock=_clock(9))
    )
    assert ended == likewise == [(False, False), (True, True)]
    assert reason.status == own.status == 143
    assert own.cause == "SIGTERM"
    assert reason.cause.startswith("SIGTERM at worker 1 (localhost:")


def test_quick_steps_are_exchanged_after_about_as_many_as_fit_into_the_interval():
    class Counting:
        def __init__(self, group):
            self.cluster, self.exchanged, self._group = group.cluster, [], group

        def exchange(self, value):
            self.exchanged.append(value["next"])
            return self._group.exchange(value)

        def share_files(self, folder, names):
            raise NotImplementedError

    def exchanges(*steps):
        def job(group):
            counting = Counting(group)
            now = [0.0]
            agreement = Agreement(counting, StopRequest(), seconds=2.0, clock=lambda: now[0])
            for step in steps:
                now[0] += 0.125
                agreement(step, late=False)
            return counting.exchanged

        return work(job, job)

    # After the first step and the second, whose length is then known: 16 of them are 2 seconds.
    assert exchanges(*range(1, 101)) == [[2, 18, 34, 50, 66, 82, 98, 114]] * 2
    # A rollback starts over, and does not wait until it is back at step 18.
    assert exchanges(*range(1, 11), *range(2, 20)) == [[2, 18, 3, 19, 35]] * 2
