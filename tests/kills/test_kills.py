"""Whatever ends a training, what goes on equals what never ended; `make test-kills` tries more."""

from pathlib import Path

import numpy as np
import pytest

from tests.kills.points import KINDS, count_writes, survives
from tests.kills.rig import Finished, Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig("nnclr", tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def writes(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> int:
    found = count_writes(rig, tmp_path_factory.mktemp("counted"))
    # Six checkpoints and the weights of the best epoch and the last, of several files each.
    assert found > 6 * 5
    return found


@pytest.fixture(scope="module")
def whole(rig: Rig, writes: int, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    rig.curves = {}
    return rig.train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_goes_on_as_if_nothing_had_happened(
    rig: Rig, kind: str, writes: int, whole: Finished, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    for _ in range(3):
        assert survives(rig, kind, tmp_path / "run", random, writes, whole) is None


def test_what_differs_is_found(rig: Rig, writes: int, whole: Finished, tmp_path: Path) -> None:
    name = next(iter(whole.values))
    other = Finished({**whole.values, name: whole.values[name] + 1e-7}, whole.curves)
    random = np.random.default_rng(0)
    found = survives(rig, "told to end", tmp_path / "run", random, writes, other)
    assert found is not None
    assert found.endswith("what was resumed differs")
