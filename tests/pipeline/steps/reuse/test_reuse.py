"""Finished steps are reused when their inputs, their code and their files are those of now."""

import json

import pytest

from tests.pipeline.steps.reuse.conftest import PROBE, Edit, Runs
from twofold.pipeline.steps.reuse.outputs import STEPS


def test_nothing_is_done_twice(runs: Runs) -> None:
    assert runs() == []
    assert [line.partition(" (")[0] for line in runs.said] == [
        f"{step}: finished before, reused" for step in STEPS
    ]


def test_a_full_check_of_a_finished_data_set_says_that_nothing_was_compared(runs: Runs) -> None:
    assert runs("update", "data.full_check=true") == []
    assert any("nothing was compared for data.full_check" in line for line in runs.said)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (PROBE, "# Faster than it was."),
        (PROBE, '"""It was written anew."""'),
        ("twofold.components.evaluation.plots.run_plots", "COLOUR = 'red'"),
        ("twofold.components.evaluation.plots.classifier_plots", "COLOUR = 'red'"),
        ("twofold.pipeline.steps.plots.training_plots", "IMAGES = 20"),
        ("twofold.pipeline.steps.plots.similarity_plot", "IMAGES = 20"),
        (PROBE, "plot_weights(1, 'weights.png')"),
        ("twofold.components.training.tensorboard.event_writer", "FLUSHED = True"),
        ("twofold.components.write_errors", "NAMED = True"),
        ("twofold.components.pages.page_template", "STYLE = 'dark'"),
        ("twofold.pipeline.steps.training_remarks", "LEAST_IMAGES = 2"),
        ("twofold.components.errors", "class NewError(Exception): pass"),
        ("twofold.pipeline.cli.progress_bar", "WIDTH = 3"),
        ("twofold.pipeline.reports.run_report", "PAGE = 'page.html'"),
        ("twofold.pipeline.recipes.quickstart", "EXPECTED = 0.9"),
        ("twofold.components.data.sources.tfds", "OTHER = 'source'"),
    ],
)
def test_what_cannot_change_a_result_invalidates_none(
    module: str, text: str, runs: Runs, edit: Edit
) -> None:
    edit(module, text)
    assert runs() == []


def test_a_setting_that_was_added_since_changes_nothing(runs: Runs) -> None:
    record = json.loads((runs.path / "run.json").read_text())
    for step, section in (("pretrain", "training"), ("evaluate", "evaluation")):
        values = record["steps"][step]["inputs"][section]
        name = next(key for key, value in values.items() if value is None)
        values.pop(name)
        record["configuration"][section].pop(name)
    (runs.path / "run.json").write_text(json.dumps(record))
    assert runs() == []


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml"])
@pytest.mark.parametrize("content", [None, b"{}"])
def test_what_the_record_says_too_is_written_again(
    name: str, content: bytes | None, runs: Runs
) -> None:
    path = runs.path / name
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert runs() == []
    assert path.read_bytes() == before
    assert f"{path} differed from run.json, written again" in runs.said
    assert runs() == []
    assert len(runs.said) == len(STEPS)
