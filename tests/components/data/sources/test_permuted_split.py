"""Permuted split: the published split of the tutorial's subset, drawn without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold.components.data.sources import build_source
from twofold.components.data.sources.permuted_split import PermutedSplit, torch_randperm


@pytest.mark.parametrize(
    ("seed", "expected"),
    # As PyTorch prints them after torch.manual_seed(seed).
    [(0, [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]), (42, [2, 6, 1, 8, 4, 5, 0, 9, 3, 7])],
)
def test_the_permutation_is_pytorchs(seed: int, expected: list[int]) -> None:
    assert torch_randperm(10, seed).tolist() == expected


def test_every_position_occurs_once() -> None:
    for count in (0, 1, 2, 1000):
        assert sorted(torch_randperm(count, 2021).tolist()) == list(range(count))


def test_the_last_of_the_permutation_are_held_out() -> None:
    split = PermutedSplit(seed=42, test_share=0.3)
    held_out = [position for position in range(10) if split.split_of(position, 10) == "test"]
    assert held_out == [3, 7, 9]


def test_the_tutorials_split_has_16000_and_4000_images() -> None:
    split = PermutedSplit(seed=2021, test_share=0.2)
    splits = [split.split_of(position, 20_000) for position in range(20_000)]
    assert (splits.count("train"), splits.count("test")) == (16_000, 4_000)


def test_sources_that_know_positions_give_their_images_the_split(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, imgs=np.zeros((10, 4, 4), np.uint8))
    split = PermutedSplit(seed=42, test_share=0.3)
    expected = [split.split_of(position, 10) for position in range(10)]
    for name, settings in (("npz", {"path": path}), ("dsprites", {"images": 10})):
        source = build_source(name, **settings, permuted_split=split)
        read = [item.split for task in source.tasks(4) for item in source.read(task)]
        assert read == expected
        without = build_source(name, **settings)
        assert without.info().fingerprint != source.info().fingerprint


def test_the_biased_set_of_the_tutorial_is_a_part_of_the_public_subset(shared_file: Any) -> None:
    with np.load(shared_file("dsprites/dsprites_subset.npz"), allow_pickle=False) as archive:
        classes = archive["latents_classes"]
    shapes, positions = classes[:, 0], classes[:, 3]
    ranges = ((0, 9), (11, 20), (22, 30))
    biased = np.zeros(len(classes), bool)
    for shape, (low, high) in enumerate(ranges):
        biased |= (shapes == shape) & (positions >= low) & (positions <= high)
    assert biased.sum() == 6_115
    split = PermutedSplit(seed=2021, test_share=0.05)
    trained = [split.split_of(position, len(classes)) == "train" for position in range(20_000)]
    assert (sum(trained), (biased & trained).sum()) == (19_000, 5_808)
