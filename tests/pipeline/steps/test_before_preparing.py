"""What settings name is looked at before any image is prepared; status 2 where it does not do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.components.encoders.published.test_torch_core import state_dict
from tests.components.encoders.published.test_torch_file import write_state_dict
from tests.pipeline.conftest import Outcome, short_run
from twofold.components.encoders.build import build_encoder
from twofold.components.errors import ConfigError
from twofold.components.training.resuming.weights_files import write_final
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.steps.checks.given_weights import check_given_weights

Twofold = Callable[..., Outcome]
NETWORK = ("encoder.name=core", "encoder.filters=[2,3]", "encoder.units=[5,4,4]")


@pytest.fixture
def other_run(tmp_path: Path) -> Path:
    """The directory of a run whose encoder is of other widths than a short run's."""
    encoder = build_encoder("core", (16, 16, 3), seed=0, filters=(7,), units=(9,))
    write_final(tmp_path / "other" / "checkpoints", {"encoder": encoder})
    return tmp_path / "other"


@pytest.mark.parametrize("trial", [(), ("--check",), ("--dry-run",)])
def test_weights_that_the_encoder_cannot_take_are_refused_before_images_are_prepared(
    trial: tuple[str, ...], other_run: Path, two_classes: Path, tmp_path: Path, twofold: Twofold
) -> None:
    work, given = tmp_path / "work", f"training.start_from={other_run}"
    ended = twofold(*short_run(two_classes, work, given), *trial)
    assert ended.status == 2
    assert ended.error.startswith(f"error: {given}: the encoder can take none of its weights (")
    assert not work.exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.start_from={}/none", "there is no such file or directory"),
        ("method={{name: pretrained, weights: {}/none.pth}}", "received: No such file"),
        ("method={{name: pretrained, weights: {}/note.pth}}", "note.pth"),
        ("evaluation={{robustness: main, robustness_baseline: {}/none}}", "expected the directory"),
        ("evaluation={{robustness: main, corrupted_tfds: {}/none}}", "evaluation.corrupted_tfds="),
    ],
)
def test_files_that_settings_name_are_opened_before_images_are_prepared(
    setting: str, words: str, two_classes: Path, tmp_path: Path, twofold: Twofold
) -> None:
    (tmp_path / "note.pth").write_text("no weights")
    untrained = ("training.epochs=60",) if "method" in setting else ()
    arguments = short_run(two_classes, tmp_path / "work", setting.format(tmp_path), *untrained)
    ended = twofold(*arguments)
    assert (ended.status, words in ended.error) == (2, True), ended.error
    assert not (tmp_path / "work").exists()


def test_weights_of_grey_images_are_taken_whatever_the_images_are(tmp_path: Path) -> None:
    file = write_state_dict(tmp_path / "net.pth", state_dict())
    config = override(RunConfig(), [*NETWORK, f"training.start_from={file}"])
    check_given_weights(config, {(16, 20)})
    # Of images whose size is not known yet nothing can be said.
    other = override(config, ["encoder.units=[5,4,7]"])
    check_given_weights(other, set())
    with pytest.raises(ConfigError, match=r"^training\.start_from=.*net\.pth: "):
        check_given_weights(other, {(16, 20)})
