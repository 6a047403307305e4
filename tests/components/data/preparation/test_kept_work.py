"""What a preparation has done is kept until it succeeds, whatever it fails of."""

import signal

import pytest

from tests.components.data.preparation.test_incremental import Pictures
from twofold.components.data.preparation.engines.worker_faults import fault_of
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Item, SourceInfo, position_range, positions
from twofold.components.data.verification.verify_dataset import verify_dataset
from twofold.components.errors import DamagedArchiveError, DataError, TwofoldError
from twofold.components.training.resuming.interruption import Interruption, StopRequest

STRICT = PrepareSettings(images_per_shard=200, max_reject_share=0.01)
CONTENT = {str(n): "1" for n in range(600)}


class Shelf(Pictures):
    """Pictures in tasks of 256, some of which cannot be read; a broken task raises.

    Args:
        unread: keys of pictures that give a problem in place of an image.
        damaged: keys of pictures that are no image.
        broken: the first position of a task that raises; None for none.

    """

    def __init__(self, log, unread=(), damaged=(), broken=None):
        super().__init__(CONTENT, log)
        self.unread, self.damaged, self.broken = unread, damaged, broken

    def info(self):
        return SourceInfo("pictures", self.class_names, (), "same", len(CONTENT))

    def tasks(self, items):
        return positions(0, len(CONTENT), 256)

    def read(self, task, selected=lambda key, content_id: True):
        if self.broken is not None and position_range(task)[0] == self.broken:
            raise OSError(28, "No space left on device")
        for item in super().read(task, selected):
            if item.key in self.unread and selected(item.key, item.content_id):
                yield Item(item.key, b"", item.label, problem="timed out")
            elif item.key in self.damaged:
                yield Item(item.key, b"no image", item.label, content_id=item.content_id)
            else:
                yield item


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "set"
    prepare(Shelf(directory.parent / "log"), directory, name="x", settings=STRICT)
    return directory


def fail(source, directory, settings=STRICT, error=DataError, more="remove that folder"):
    """Prepares what fails; gives the message and the note."""
    with pytest.raises(error) as caught:
        prepare(source, directory, name="x", settings=settings)
    assert not directory.exists()
    (kept,) = directory.parent.glob(".tmp-set-*")
    (note,) = caught.value.__notes__
    assert str(kept) in note
    assert "the same command goes on from there" in note
    assert more in note
    return str(caught.value)


def test_after_a_failed_task_only_the_rest_is_read(tmp_path, whole, digests):
    fail(Shelf(tmp_path / "a", broken=512), tmp_path / "set", error=OSError)
    source = Shelf(tmp_path / "b")
    prepare(source, tmp_path / "set", name="x", settings=STRICT)
    assert source.reads == [str(n) for n in range(512, 600)]
    assert digests(tmp_path / "set") == digests(whole)
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_larger_share_of_rejects_reads_nothing_again(tmp_path):
    damaged = [str(n) for n in range(7)]
    message = fail(Shelf(tmp_path / "a", damaged=damaged), tmp_path / "set")
    assert "7 of 600 images were rejected" in message
    source = Shelf(tmp_path / "b", damaged=damaged)
    larger = PrepareSettings(images_per_shard=200, max_reject_share=0.02)
    manifest = prepare(source, tmp_path / "set", name="x", settings=larger)
    assert source.reads == []
    assert manifest.counts.rejected == 7


def test_what_could_not_be_read_is_tried_again_and_nothing_else(tmp_path, whole, digests):
    unread = [str(n) for n in range(250, 262)]
    message = fail(Shelf(tmp_path / "a", unread=unread), tmp_path / "set")
    assert "12 of 600 images were rejected (12 unreadable)" in message
    # Some time out once more, and two of those at the third attempt, which are few enough.
    source = Shelf(tmp_path / "b", unread=unread[3:])
    assert "9 of 600" in fail(source, tmp_path / "set")
    assert source.reads == unread
    source = Shelf(tmp_path / "c", unread=unread[-2:])
    manifest = prepare(source, tmp_path / "set", name="x", settings=STRICT)
    assert source.reads == unread[3:]
    assert (manifest.counts.read, manifest.counts.rejected) == (600, 2)
    assert verify_dataset(tmp_path / "set") == []


def test_images_read_at_a_later_attempt_give_the_same_bytes(tmp_path, whole, digests):
    fail(Shelf(tmp_path / "a", unread=[str(n) for n in range(100)]), tmp_path / "set")
    prepare(Shelf(tmp_path / "b"), tmp_path / "set", name="x", settings=STRICT)
    assert digests(tmp_path / "set") == digests(whole)
    assert verify_dataset(tmp_path / "set") == []


class Told(Shelf):
    """Pictures of which the one at position 300 comes with a signal to end."""

    def read(self, task, selected=lambda key, content_id: True):
        for item in super().read(task, selected):
            if item.key == "300":
                signal.raise_signal(signal.SIGINT)
            yield item


def test_a_signal_ends_a_preparation_as_such_and_what_is_done_is_kept(tmp_path):
    with StopRequest().listening():
        message = fail(Told(tmp_path / "a"), tmp_path / "set", error=Interruption, more="")
    assert message == "interrupted (SIGINT)"
    source = Shelf(tmp_path / "b")
    prepare(source, tmp_path / "set", name="x", settings=STRICT)
    assert source.reads == [str(n) for n in range(256, 600)]


class DemandError(TwofoldError):
    """An exception that a message alone does not build."""

    def __init__(self, message, key):
        super().__init__(f"{message} of {key}")


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (
            DamagedArchiveError("a.tar: is damaged [while running 'Scan']"),
            None,
            "a.tar: is damaged",
        ),
        (
            RuntimeError("x.errors.DamagedArchiveError: a.tar: is damaged [while running 'Scan']"),
            DamagedArchiveError,
            "a.tar: is damaged",
        ),
        (
            RuntimeError("tests.DemandError: too little of a [while running 'Write']"),
            DataError,
            "too little of a",
        ),
    ],
)
def test_what_a_worker_raised_keeps_its_kind(raised, kind, message):
    fault = fault_of(raised)
    assert (type(fault), str(fault)) == (kind or type(raised), message)


def test_a_fault_of_the_program_stays_one():
    assert fault_of(RuntimeError("KeyError: 'x' [while running 'Scan']")) is None
