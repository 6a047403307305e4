"""How long a preparation takes is told from its first images."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from twofold.components.data.sources.source import Item, SourceInfo
from twofold.pipeline.config import RunConfig
from twofold.pipeline.steps.checks.preparation_time import expected_preparation


def source_of(items: int) -> Any:
    def read(task: bytes) -> Iterator[Item]:
        yield from (Item(str(index), b"no image") for index in range(3))

    return SimpleNamespace(
        info=lambda: SourceInfo("npz", (), (), "f", items),
        tasks=lambda count: iter([b"0 3"]),
        read=read,
    )


def test_the_first_image_which_opens_files_does_not_count() -> None:
    # It takes 50 s, the others 1 s each; beside decoding there is as much again to do, and 0.3 ms.
    clock = itertools.chain([0.0, 50.0, 51.0, 52.0]).__next__
    found = expected_preparation(RunConfig(), source_of(20_000), clock)
    assert found == pytest.approx(20_000 * (2 * 1.0 + 3e-4))


def test_few_images_are_soon_prepared() -> None:
    assert expected_preparation(RunConfig(), source_of(500)) == 0.0
