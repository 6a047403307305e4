"""Pages of real, short runs, and what the command line says of those that are none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.plugins.hparams import metadata

from tests.components.pages.dataset_pages import Page
from tests.components.training.tensorboard.event_files import read as read_events
from tests.pipeline.conftest import UNTRAINED, Outcome, prove_here, short_run
from twofold.components.data.store.manifest import load_manifest
from twofold.pipeline.cli.app import main
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.runs.run_hyperparameters import compared
from twofold.pipeline.runs.run_record import (
    RunRecord,
    changed_settings,
    flat,
    read_record,
    setting_text,
)

Twofold = Callable[..., Outcome]


@pytest.fixture(scope="module")
def made(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two classes."""
    workdir = tmp_path_factory.mktemp("é work")
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        with pytest.raises(SystemExit) as end:
            main([*short_run(two_classes, workdir), "--name", "first"])
    assert not end.value.code
    return workdir / "first"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, beside a copy of its data set."""
    shutil.copytree(made.parent, tmp_path / "runs")
    return tmp_path / "runs" / "first"


def page_of(path: Path) -> Page:
    return Page((path / "report.html").read_text(encoding="utf-8"))


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    file = path / "run.json"
    record = json.loads(file.read_text())
    edit(record)
    file.write_text(json.dumps(record))


def test_a_run_leaves_its_page(made: Path) -> None:
    page = page_of(made)
    sections = [section["id"] for section in page.having("section")]

    assert {"run", "curves", "pictures", "similarity", "neighbours", "cost"} <= {*sections}
    assert "recipe folder_simclr" in page.text
    assert "training.batch_size 8" in page.text
    assert "checkpoint checkpoints/ckpt-" in page.text
    (link,) = [one["href"] for one in page.having("a") if one["href"].endswith("report.html")]
    assert (made / link).is_file()
    record = read_record(made)
    labels = load_manifest(made.parent / "datasets" / str(record.dataset)).splits["test"].labels
    assert f"Accuracies are of {sum(labels.values())} held-out images." in page.text


def test_tensorboard_has_the_pictures_of_pretraining_and_its_curves_in_groups(made: Path) -> None:
    accumulator = read_events(made / "tensorboard")
    (views,) = accumulator.Tensors("figures/views")
    # Width, height, and the picture.
    assert views.tensor_proto.string_val[2].startswith(b"\x89PNG")
    scalars = {
        tag
        for tag in accumulator.Tags()["tensors"]
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    }
    groups = {tag.partition("/")[0] for tag in scalars}
    assert groups == {"loss", "task", "probe", "geometry", "rate", "system", "versus_images"}
    assert {"probe/test/knn_accuracy", "rate/update_to_weight/encoder"} <= scalars
    assert "weights/encoder/conv0/kernel" in accumulator.Tags()["tensors"]
    for tag in scalars:
        assert accumulator.SummaryMetadata(tag).summary_description, tag
    found = metadata.parse_session_start_info_plugin_data(
        accumulator.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert found.hparams["training.batch_size"].number_value == 8
    assert found.hparams["method.name"].string_value == "simclr"
    assert metadata.SESSION_END_INFO_TAG in accumulator.Tags()["tensors"]
    assert accumulator.Tags()["graph"]
    # Its metrics and its page know them by the names of always.
    curves = {"loss", "contrastive_accuracy", "feature_std", "learning_rate", "test/accuracy"}
    record = read_record(made)
    assert curves <= {*record.curves()}
    assert record.metrics["pretrain/loss"] == record.curves()["loss"][1][-1]


def test_tensorboard_has_the_final_evaluation_and_the_embeddings(made: Path) -> None:
    folder = made / "tensorboard" / "evaluation"
    accumulator, record = read_events(folder), read_record(made)
    (accuracy,) = accumulator.Tensors("results/knn/test_accuracy")

    assert accuracy.step == record.details("pretrain")["steps"]
    assert {"results/rsm", "results/confusion", "results"} <= {*accumulator.Tags()["tensors"]}
    tags = accumulator.Tags()["tensors"]
    plugins = {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}
    assert plugins["results/cat/pr_curves"] == "pr_curves"
    assert not [tag for tag in tags if "prepare/" in tag or "pretrain/" in tag or "_low" in tag]
    rows = np.loadtxt(folder / "test.tsv", delimiter="\t")
    assert rows.shape == np.load(made / "embeddings" / "test.npy").shape
    titles, first, *_ = (folder / "test_images.tsv").read_text().splitlines()
    assert titles == "image\tclass"
    assert first.split("\t")[1] in ("cat", "dog")


def test_runs_are_compared_by_what_they_differ_in(made: Path) -> None:
    record = read_record(made)
    slower = json.loads(json.dumps(record.values))
    slower["configuration"]["training"]["learning_rate"] = 1e-4
    both = [record, RunRecord(made, slower)]
    (content,) = [value.metadata.plugin_data.content for value in compared(both).value]
    experiment = metadata.parse_experiment_plugin_data(content)

    (differing,) = experiment.hparam_infos
    assert differing.name == "training.learning_rate"
    assert differing.domain_interval.min_value == 1e-4
    names = [(one.name.group, one.name.tag) for one in experiment.metric_infos]
    assert ("evaluation", "results/knn/test_accuracy") in names
    assert ("", "loss/total") in names
    # A single run is held to the defaults.
    (content,) = [value.metadata.plugin_data.content for value in compared([record]).value]
    alone = {one.name for one in metadata.parse_experiment_plugin_data(content).hparam_infos}
    assert {"training.batch_size", "encoder.filters"} <= alone
    assert "training.learning_rate" not in alone


def test_neighbours_are_among_the_images_that_were_trained_on(
    two_classes: Path, tmp_path: Path, twofold: Twofold
) -> None:
    settings = ("data.training_images=17", *UNTRAINED, "views.policy=none")
    ended = twofold(*short_run(two_classes, tmp_path, *settings), "--until=evaluate")
    assert ended.status == 0, ended
    page = page_of(tmp_path / "folder_simclr")
    assert "could not be shown" not in page.text
    assert "neighbours" in [section["id"] for section in page.having("section")]


def test_the_page_says_which_images_decided_what(run: Path, twofold: Twofold) -> None:
    text = page_of(run).text
    assert "reported on test split, " in text
    assert "chose the settings of probe and kNN part of the training images, " in text
    assert "decided" not in text

    def decide(record: dict[str, Any]) -> None:
        record["configuration"]["training"]["plateau"] = {"patience": 3}
        record["steps"]["pretrain"]["details"]["deciding_images"] = 1234

    change(run, decide)
    assert twofold("report", str(run)).status == 0
    assert "decided plateau 1,234 images cut from the training images" in page_of(run).text


def test_the_page_is_made_again_to_the_byte(run: Path, twofold: Twofold) -> None:
    assert twofold("report", str(run)).status == 0
    first = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    again = twofold("report", str(run))

    assert (again.status, again.error) == (0, "")
    assert again.out.strip() == str(run / "report.html")
    assert (run / "report.html").read_bytes() == first


def test_a_run_that_had_nothing_to_do_leaves_its_page_alone(
    run: Path, two_classes: Path, twofold: Twofold
) -> None:
    before = (run / "report.html").stat().st_mtime_ns
    arguments = [*short_run(two_classes, run.parent), "--name", "first"]

    assert twofold(*arguments).out.count("reused") == 4
    assert (run / "report.html").stat().st_mtime_ns == before
    (run / "report.html").unlink()
    assert twofold(*arguments).status == 0
    assert (run / "report.html").is_file()


def test_a_page_that_fails_does_not_lose_the_run_and_is_told(
    run: Path, two_classes: Path, twofold: Twofold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twofold.pipeline.studies.study_report.write_report", fail)
    (run / "report.html").unlink()
    ended = twofold(*short_run(two_classes, run.parent), "--name", "first")

    assert ended.status == 0
    assert "its page could not be written: No space left" in ended.error
    assert f"twofold report {run}" in ended.error


def test_without_its_data_set_a_run_has_a_page_without_images(run: Path, twofold: Twofold) -> None:
    shutil.rmtree(run.parent / "datasets")

    assert twofold("report", str(run)).status == 0
    page = page_of(run)
    assert "The data set could not be opened, so that no images are shown" in page.text
    assert "neighbours" not in [section["id"] for section in page.having("section")]
    assert "linear probe, held-out accuracy" in page.text


def test_the_data_set_may_be_elsewhere(run: Path, twofold: Twofold, tmp_path: Path) -> None:
    (run.parent / "datasets").rename(tmp_path / "elsewhere")

    assert twofold("report", str(run), "--datasets", str(tmp_path / "elsewhere")).status == 0
    assert "neighbours" in [section["id"] for section in page_of(run).having("section")]


def test_another_data_set_of_that_name_is_not_shown(run: Path, twofold: Twofold) -> None:
    def edit(record: dict[str, Any]) -> None:
        record["steps"]["prepare"]["details"]["dataset_fingerprint"] = "0" * 64

    change(run, edit)
    assert twofold("report", str(run)).status == 0
    assert "is another one than the run was made from" in page_of(run).text


def test_embeddings_of_other_images_are_not_shown(run: Path, twofold: Twofold) -> None:
    keys = np.load(run / "embeddings" / "test_keys.npy")
    np.save(run / "embeddings" / "test_keys.npy", keys[::-1])

    assert twofold("report", str(run)).status == 0
    assert "is of other images than the data set's split test" in page_of(run).text


def test_settings_of_another_version_are_shown_as_they_are(run: Path, twofold: Twofold) -> None:
    change(run, lambda record: record["configuration"].update(unheard_of=3))

    assert twofold("report", str(run)).status == 0
    text = page_of(run).text
    assert "This Twofold cannot read the settings" in text
    assert "Not known." in text
    assert "unheard_of: 3" in text


def test_a_step_that_failed_is_among_the_notes(run: Path, twofold: Twofold) -> None:
    change(run, lambda r: r["steps"]["export"].update(status="failed", error="OSError: no room"))

    assert twofold("report", str(run)).status == 0
    assert "The step export did not finish (failed): OSError: no room." in page_of(run).text


def test_a_result_of_other_code_that_was_kept_is_among_the_notes(
    run: Path, twofold: Twofold
) -> None:
    change(run, lambda r: r["steps"]["pretrain"].update(reused={"changed": ["twofold.loop"]}))

    assert twofold("report", str(run)).status == 0
    assert (
        "The result of the step pretrain was made by other code and kept with --reuse; modules "
        "that changed since: twofold.loop." in page_of(run).text
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is no run: expected the directory of one, which holds a run.json"),
        ("{", "is damaged: expected JSON"),
        ("[]", "is damaged: expected an object with the key 'steps'"),
        ('{"steps": {"prepare": {"status": "done"}}}', "found prepare"),
        ('{"steps": {"pretrain": {"status": "running"}}}', "found none"),
    ],
)
def test_what_is_no_finished_run_is_refused(
    content: str | None, expected: str, twofold: Twofold, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.mkdir()
    if content is not None:
        (path / "run.json").write_text(content)
    for arguments in (("report", str(path)), ("compare", str(path), str(tmp_path))):
        refused = twofold(*arguments, *(["--out", str(tmp_path / "o")] * (len(arguments) > 2)))
        assert refused.status == 1
        assert expected in refused.error
        assert len(refused.error.splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_runs_are_compared_on_a_page_and_in_the_terminal(
    run: Path, twofold: Twofold, tmp_path: Path
) -> None:
    other = run.parent / "second"
    shutil.copytree(run, other)

    def edit(record: dict[str, Any]) -> None:
        record["configuration"]["training"]["epochs"] = 7
        record["steps"]["evaluate"]["metrics"]["knn/test_accuracy"] += 0.25

    change(other, edit)
    out = tmp_path / "page.html"
    told = twofold("compare", str(run), str(other), "--out", str(out))

    assert (told.status, told.error) == (0, "")
    assert "+25.00 points" in told.out
    # The columns may be narrower than this.
    assert "not known: no interval" in " ".join(told.out.split())
    assert str(out) in told.out
    page = Page(out.read_text(encoding="utf-8"))
    assert "training.epochs 1 7" in page.text
    first = out.read_bytes()
    assert twofold("compare", str(run), str(other), "--out", str(out)).status == 0
    assert out.read_bytes() == first


def test_runs_of_other_seeds_are_taken_together(
    run: Path, twofold: Twofold, tmp_path: Path
) -> None:
    other = run.parent / "second"
    shutil.copytree(run, other)
    change(other, lambda record: record["configuration"].update(seed=1, name="second"))
    told = twofold("compare", str(run), str(other), "--out", str(tmp_path / "page.html"))

    assert "first and 1 more seed" in told.out
    assert "All runs differ in their seed alone" in told.out


def test_runs_on_different_data_sets_are_compared_with_a_warning(
    run: Path, twofold: Twofold, tmp_path: Path
) -> None:
    other = run.parent / "second"
    shutil.copytree(run, other)

    def edit(record: dict[str, Any]) -> None:
        record["steps"]["prepare"]["details"].update(dataset_fingerprint="0" * 64)

    change(other, edit)
    out = tmp_path / "page.html"
    told = twofold("compare", str(run), str(other), "--out", str(out))
    assert told.status == 0
    assert "These runs are on different data sets" in told.out
    text = Page(out.read_text(encoding="utf-8")).text
    assert "not compared: other test images" in text
    assert "within noise" not in text
    assert 'role="alert"' in out.read_text(encoding="utf-8")


def test_runs_of_one_name_are_told_apart_by_their_folders(
    run: Path, twofold: Twofold, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "others" / "first")
    change(
        tmp_path / "others" / "first", lambda r: r["configuration"]["data"].update(test_share=0.3)
    )
    out = str(tmp_path / "page.html")
    told = twofold("compare", str(run), str(tmp_path / "others" / "first"), "--out", out)

    assert "runs/first" in told.out
    assert "others/first" in told.out


def test_a_comparison_of_one_run_is_refused(run: Path, twofold: Twofold, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "page.html"))
    assert "two runs at least" in twofold("compare", str(run), *out).error
    assert "given twice" in twofold("compare", str(run), str(run / "." / ""), *out).error
    nowhere = ("--out", str(tmp_path / "no" / "page.html"))
    assert "in a directory that exists" in twofold("compare", str(run), "x", *nowhere).error


def test_settings_are_held_to_the_defaults_of_what_was_chosen() -> None:
    config = override(RunConfig(), ["training.epochs=7", "method.name=vicreg", "seed=3"])
    changed = {key: (value, usual) for key, value, usual in changed_settings(config, RunConfig())}

    assert changed == {
        "training.epochs": (7, RunConfig().training.epochs),
        "method.name": ("vicreg", "simclr"),
        "seed": (3, 0),
    }
    assert list(changed_settings(RunConfig(), RunConfig())) == []


def test_settings_are_written_as_a_person_would() -> None:
    assert dict(flat({"a": {"b": 1, "c": {"d": 2}}, "e": [3]})) == {"a.b": 1, "a.c.d": 2, "e": [3]}
    texts = [setting_text(one) for one in (None, True, [1, 2], [], 12_345, "x", 0.1)]
    assert texts == ["none", "yes", "1, 2", "empty", "12,345", "x", "0.1"]
