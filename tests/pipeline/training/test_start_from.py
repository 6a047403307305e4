"""A run that starts from another one's weights says, records and shows what it took."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.components.encoders.published.test_torch_core import state_dict
from tests.components.encoders.published.test_torch_file import write_state_dict
from tests.components.training.workers.as_threads import work
from twofold.components.errors import ConfigError, UsageError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.continuing.start_report import read_start
from twofold.components.training.loop import LoopSettings
from twofold.components.training.resuming.weights_files import write_final
from twofold.components.training.step import TrainState
from twofold.components.training.workers.worker_group import Group
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import build_state
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.training.start_from import start_from

NETWORK = ("encoder.name=core", "encoder.filters=[2]", "encoder.units=[3,4]")
BYOL = (
    "method={name: byol, projector: [4, 4], predictor: [4]}",
    "views.policy=byol_a",
    "second_views.policy=byol_b",
)
SUPERVISED = ("method={name: supervised}",)


def build(*settings: str, side: int = 8, classes: int = 2) -> tuple[RunConfig, TrainState]:
    config = override(RunConfig(), [*NETWORK, *settings])
    method = build_method(config, (side, side, 1), classes, steps=10)
    lengths = LoopSettings(10, 5, log_every=1, checkpoint_every=5)
    return config, build_state(config, method, lengths, classes, replicas=1)


def save(run: Path, *settings: str) -> TrainState:
    """Leaves what a training of other first weights ended with."""
    _, state = build(*settings, "seed=7")
    checkpoints = Checkpoints(run / "checkpoints", state)
    checkpoints.save()
    checkpoints.wait()
    write_final(run / "checkpoints", state.models)
    return state


def begin(
    tmp_path: Path, *settings: str, **data: int
) -> tuple[TrainState, list[str], dict[str, Any]]:
    config, state = build(*settings, **data)
    said: list[str] = []
    start_from(config, state, tmp_path / "new", said.append)
    return state, said, read_start(tmp_path / "new") or {}


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()


def test_everything_is_taken_that_fits_and_momentum_networks_follow(tmp_path: Path) -> None:
    before = save(tmp_path / "run", *BYOL)
    state, said, report = begin(tmp_path, *BYOL, f"training.start_from={tmp_path / 'run'}")
    for name, network in before.models.items():
        assert same(state.models[name], network)
    assert same(state.memory["momentum_encoder"], state.models["encoder"])
    assert same(state.memory["momentum_projector"], state.models["projector"])
    assert state.step == 0
    encoder, projector = (len(before.models[name].variables) for name in ("encoder", "projector"))
    assert said[0].startswith(
        f"starts from {tmp_path / 'run'} (final): encoder {encoder} of {encoder} weights; "
    )
    assert report["networks"]["projector"] == {"weights": projector, "of": projector, "left": []}
    assert report["from"] == str(tmp_path / "run")


def test_another_head_and_another_size_of_image_keep_their_first_weights(tmp_path: Path) -> None:
    before = save(tmp_path / "run", *SUPERVISED)
    chosen = (*SUPERVISED, f"training.start_from={tmp_path / 'run'}")
    state, said, report = begin(tmp_path, *chosen, side=16, classes=5)
    _, fresh = build(*SUPERVISED, side=16, classes=5)
    there, here = before.models["encoder"], state.models["encoder"]
    np.testing.assert_array_equal(here.get_layer("conv0").kernel, there.get_layer("conv0").kernel)
    assert same(state.models["head"], fresh.models["head"])
    assert "head 0 of 2 weights (not logits/kernel: 4x2 there, 4x5 here; " in said[0]
    left = report["networks"]["encoder"]["left"]
    assert [line.partition(":")[0] for line in left] == ["dense0/kernel"]


def test_the_encoder_alone_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    before = save(tmp_path / "run", *BYOL)
    run = f"training.start_from={tmp_path / 'run' / 'checkpoints' / 'ckpt-0'}"
    state, said, report = begin(tmp_path, *BYOL, run, "training.start_with=encoder")
    assert same(state.models["encoder"], before.models["encoder"])
    assert not same(state.models["projector"], before.models["projector"])
    assert {"optimizer", "predictor", "projector"} <= set(report["not_taken"])
    assert said[1].startswith("not taken from there: ")
    assert "projector" in report["as_at_the_start"]


def test_a_pytorch_file_gives_the_encoder(tmp_path: Path) -> None:
    file = write_state_dict(tmp_path / "net.pth", state_dict())
    network = ("encoder.filters=[2,3]", "encoder.units=[5,4,4]")
    config = override(RunConfig(), [*network, *SUPERVISED, f"training.start_from={file}"])
    method = build_method(config, (16, 20, 1), 2, steps=10)
    lengths = LoopSettings(10, 5, log_every=1, checkpoint_every=5)
    state = build_state(config, method, lengths, 2, replicas=1)
    said: list[str] = []
    start_from(config, state, tmp_path / "new", said.append)
    kernel = state.models["encoder"].get_layer("dense1").kernel
    np.testing.assert_array_equal(kernel, state_dict()["linear_projections.3.weight"].T)
    assert "(net.pth): encoder " in said[0]


def test_a_training_that_has_begun_goes_on_instead(tmp_path: Path) -> None:
    save(tmp_path / "run", *SUPERVISED)
    _, fresh = build(*SUPERVISED)
    checkpoints = Checkpoints(tmp_path / "new", fresh)
    checkpoints.save()
    checkpoints.wait()
    state, said, _ = begin(tmp_path, *SUPERVISED, f"training.start_from={tmp_path / 'run'}")
    assert same(state.models["encoder"], fresh.models["encoder"])
    assert said == []


@pytest.mark.parametrize("chief_has_begun", [False, True])
def test_of_several_workers_the_chiefs_checkpoints_count(
    tmp_path: Path, chief_has_begun: bool
) -> None:
    before = save(tmp_path / "run", *SUPERVISED)
    settings = (*SUPERVISED, f"training.start_from={tmp_path / 'run'}")

    def worker(directory: str, has_begun: bool) -> Any:
        config, state = build(*settings)
        (tmp_path / directory).mkdir()
        if has_begun:
            checkpoints = Checkpoints(tmp_path / directory, state)
            checkpoints.save()
            checkpoints.wait()

        def job(group: Group) -> bool:
            start_from(config, state, tmp_path / directory, lambda line: None, group)
            return same(state.models["encoder"], before.models["encoder"])

        return job

    started = work(worker("chief", chief_has_begun), worker("other", not chief_has_begun))
    assert started == [not chief_has_begun] * 2


def test_an_encoder_that_can_take_nothing_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "run", *SUPERVISED)
    other = ("encoder.filters=[5]", "encoder.units=[6]", *SUPERVISED)
    with pytest.raises(ConfigError, match=r"can take none of its weights \(conv0/kernel: "):
        begin(tmp_path, *other, f"training.start_from={tmp_path / 'run'}")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("training.start_from=gs://bucket/run",), r"training\.start_from"),
        (("training.start_with=encoder",), r"expected training\.start_from"),
        (("method.name=random", "training.start_from=a"), "method.name that trains"),
        (
            ("method={name: self_training, teacher: {training: {start_from: a}}}",),
            r"method\.teacher\.training\.start_from=a has no effect",
        ),
    ],
)
def test_settings_that_start_nothing_are_refused(settings: tuple[str, ...], words: str) -> None:
    with pytest.raises((ConfigError, UsageError), match=words):
        override(RunConfig(), settings)
