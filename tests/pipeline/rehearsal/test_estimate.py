"""An estimate of a run, by hand from its settings and what was measured."""

import pytest

from twofold.pipeline.cli.estimate_table import estimate_table
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.rehearsal.estimate import (
    Estimate,
    SplitCount,
    StageEstimate,
    count_steps,
)

SPLITS = {"train": SplitCount(80, 20), "unlabelled": SplitCount(0, 50), "test": SplitCount(30, 0)}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), (2 * 15, 15)),
        (("training.last_batch=keep", "training.batch_size=8"), (2 * 19, 19)),
        (("method.name=supervised",), (2 * 8, 8)),
        # ceil(0.25 * 80) keep their label.
        (("method.name=supervised", "data.label_share=0.25"), (2 * 2, 2)),
        (("data.sampling=balanced",), (2 * 8, 8)),
        # Of the split without labels, 50 images, 6 a step.
        (("training.labelled_batch_size=4",), (2 * 8, 8)),
        # Without that split's own: 20 + 50, and 60 that lost their label.
        (("training.labelled_batch_size=4", "data.label_share=0.25"), (2 * 21, 21)),
        (("data.training_images=60",), (2 * 6, 6)),
    ],
)
def test_steps_are_counted_from_settings(
    settings: tuple[str, ...], expected: tuple[int, int]
) -> None:
    usual = ("training.batch_size=10", "training.epochs=2")
    config = override(RunConfig(), [*usual, *settings])
    assert count_steps(config, SPLITS) == expected


def estimate(
    step_bytes: int | None = 1000,
    *,
    trained: int = 0,
    steps: tuple[str, ...] = ("prepare", "pretrain", "evaluate", "export"),
) -> Estimate:
    stage = StageEstimate(
        name="pretrain",
        batch_size=10,
        replicas=2,
        steps=101,
        steps_per_epoch=10,
        parameters=50,
        weights_bytes=200,
        optimizer_bytes=400,
        step_bytes=step_bytes,
        first_step_seconds=20.0,
        step_seconds=0.5,
        trained=trained,
    )
    return Estimate(
        device="2 logical CPUs",
        splits=SPLITS,
        counted=True,
        image_shape=(8, 8, 3),
        features=16,
        steps=steps,
        prepare_seconds=5.0,
        stages=(stage,),
        embed_seconds=0.01,
        embedded_parts=2,
        dataset_bytes=9000,
        encoder_bytes=160,
    )


def test_time_memory_and_disk_add_up() -> None:
    whole = estimate()
    (stage,) = whole.stages
    assert stage.images_seen == 1010
    assert stage.seconds == 20 + 100 * 0.5
    assert whole.evaluate_seconds == pytest.approx(180 * 0.01 * 2)
    assert whole.seconds == pytest.approx(5 + 70 + 3.6)
    # Each of two replicas has the weights and the optimizer's.
    assert whole.memory_bytes == 2 * (200 + 400) + 1000
    assert estimate(step_bytes=None).memory_bytes is None
    assert whole.disk == {
        "data set": 9000,
        "decoded images": 180 * 8 * 8 * 3,
        "checkpoints": 2 * (200 + 400) + 200,
        "embeddings": 4 * 16 * 180 * 2,
        "exported model": 160 + 4 * 16 * 80,
    }


def test_the_table_has_a_row_for_each_thing() -> None:
    rows = [list(column.cells) for column in estimate_table(estimate()).columns]
    said = dict(zip(*rows, strict=True))
    assert said["images"] == "180 (100 train, 50 unlabelled, 30 test), seen at 8x8x3"
    assert said["pretrain"] == "101 steps of 10 images (10 an epoch), 1,010 images seen"
    assert str(said["time"]).startswith("0:01:19 on 2 logical CPUs: preparation 0:00:05, training")


def test_of_a_training_that_goes_on_the_steps_that_are_left_take_time() -> None:
    going = estimate(trained=60, steps=("pretrain", "evaluate"))
    assert going.stages[0].seconds == 20 + 40 * 0.5
    rows = [list(column.cells) for column in estimate_table(going).columns]
    said = dict(zip(*rows, strict=True))
    assert said["pretrain"].endswith("1,010 images seen; left of these steps: 41")
    assert "preparation" not in said["time"]
    assert estimate(trained=101).stages[0].seconds == 0
