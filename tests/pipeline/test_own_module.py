"""The README's example of an own method, encoder and view policy, from a file to an encoder."""

import json
import pickle
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.conftest import SHORT, Outcome
from twofold.components.encoders.settings import ENCODERS
from twofold.components.methods.settings import METHODS
from twofold.components.transforms.settings import VIEWS
from twofold.pipeline.config import override
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.recipes import load_recipe

Twofold = Callable[..., Outcome]
README = Path(__file__).parents[2] / "README.md"
CHOSEN = (
    "method.name=mine:Closeness",
    "method.margin=0.01",
    "encoder.name=mine:build_flat",
    "encoder.width=5",
    "views.policy=mine:darker",
    "views.strength=0.3",
)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The README's module, in the working directory."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"as `mine.py`\n\n((?:    .*\n|\n)+)", text)
    assert block is not None
    file = tmp_path / "mine.py"
    file.write_text(textwrap.dedent(block[1]))
    # Another test may have had one of this name.
    sys.modules.pop("mine", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for registry in (METHODS, ENCODERS, VIEWS):
        # What another test has named is another module.
        monkeypatch.setattr(registry, "_own", {})
    yield file
    sys.modules.pop("mine", None)


def own_run(images: Path, workdir: Path, *more: str) -> list[str]:
    """A short run by the module, without the settings of what it replaces."""
    kept = [one for one in SHORT if not one.startswith(("encoder.", "views."))]
    chosen = (*kept, f"data.path=['{images}']", *CHOSEN)
    options = [part for one in chosen for part in ("--set", one)]
    return ["run", "folder_simclr", "--workdir", str(workdir), *options, *more]


def test_it_trains_and_is_rebuilt_and_its_code_counts(
    mine: Path, twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    ended = twofold(*own_run(two_classes, tmp_path), "--until=pretrain")
    assert ended.status == 0, ended
    run = tmp_path / "folder_simclr"
    record = json.loads((run / "run.json").read_text())
    assert "mine" in record["steps"]["pretrain"]["code"]
    assert record["configuration"]["encoder"] == {"name": "mine:build_flat", "width": 5}
    described = json.loads((run / "checkpoints/model.json").read_text())
    assert described["method"]["name"] == "mine:Closeness"
    encoder = rebuild_encoder(run / "checkpoints")
    assert encoder(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 5)

    again = twofold("run", str(run / "config.yaml"), "--workdir", str(tmp_path), "--until=pretrain")
    assert again.status == 0, again
    assert "reused" in again.error + again.out


def test_it_is_shown_with_its_settings(mine: Path, twofold: Twofold) -> None:
    shown = twofold("show", "quickstart", "--set", "method.name=mine:Closeness")
    assert shown.status == 0
    assert "# Two views of an image come closer than a margin.\n  name: mine:Closeness" in shown.out
    assert "# squared distance that is close enough (at least 0)\n  margin: 0.1" in shown.out


def test_a_mistake_ends_with_status_2_in_one_line(mine: Path, twofold: Twofold) -> None:
    ended = twofold("show", "quickstart", "--set", "encoder.name=mine:Closeness")
    assert ended.status == 2
    assert ended.error.count("\n") == 1
    assert "encoder.name=mine:Closeness is a class: expected a class derived from" in ended.error


def test_a_configuration_with_it_can_be_given_to_another_process(mine: Path) -> None:
    config = override(load_recipe("folder_simclr"), list(CHOSEN))
    given = pickle.dumps(config)
    sys.modules.pop("mine")
    for registry in (METHODS, ENCODERS, VIEWS):
        registry._own.clear()
    assert pickle.loads(given).model_dump() == config.model_dump()


def test_an_encoder_that_makes_no_features_is_refused(
    mine: Path, twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    mine.write_text(mine.read_text().replace("(flat))", "(image))"))
    ended = twofold(*own_run(two_classes, tmp_path), "--until=pretrain")
    assert ended.status == 2
    assert "encoder.name=mine:build_flat" in ended.error
    assert "features of shape (None, 16, 16, 5)" in ended.error


@pytest.mark.long
@pytest.mark.usefixtures("mine")
def test_it_is_checked_and_estimated(twofold: Twofold, two_classes: Path, tmp_path: Path) -> None:
    ended = twofold(*own_run(two_classes, tmp_path), "--until=evaluate", "--check", "--dry-run")
    assert ended.status == 0, ended
    assert "all steps to evaluate passed on one batch" in ended.out


@pytest.mark.long
@pytest.mark.usefixtures("proved_here", "mine")
def test_it_is_measured_and_exported_like_any_other(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    ended = twofold(*own_run(two_classes, tmp_path))
    assert ended.status == 0, ended
    assert (tmp_path / "folder_simclr/saved_model/1/saved_model.pb").is_file()
