"""A step is done again when what it is made from changes, and not when anything else does."""

import functools
import importlib
import re
from pathlib import Path
from types import FunctionType

import pytest

from twofold.components.errors import DataError
from twofold.components.methods.settings import METHODS
from twofold.components.settings import Section
from twofold.pipeline.config import (
    DataConfig,
    EvaluationConfig,
    ExportConfig,
    RunConfig,
    StudyConfig,
    override,
)
from twofold.pipeline.runs.code_fingerprint import NO_SOURCE, read_code, read_source
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.reuse.dependencies import DEPENDENCIES
from twofold.pipeline.steps.reuse.fingerprints import (
    data_set_name,
    step_dependencies,
    step_inputs,
)
from twofold.pipeline.steps.reuse.outputs import STEPS

START = override(RunConfig(), ["data.images=100"])


def _inputs(folder: Path, *settings: str) -> dict[str, str]:
    """Fingerprints every step, each after those before it, as if all ran."""
    config = override(START, settings)
    run = RunDirectory(folder / "run", config, {}, update=True)
    context = Context(config, run, str(folder / "datasets"), (), no_progress, print)
    found = {}
    for step in STEPS:
        found[step] = step_inputs(step, context)
        with run.record(step, found[step]) as entry:
            entry["details"]["dataset_fingerprint"] = found["prepare"]
    return found


MATTERS = {
    "prepare": [
        "data.images=101",
        "data.test_share=0.3",
        "data.split_seed=1",
        "data.max_reject_share=0.5",
        "data.images_per_shard=7",
        "data.shard_bytes=9",
        "data.min_side=5",
        "data.stored_as=raw",
        "data.stored_size=32",
        "data.duplicates=off",
        "data.near_duplicate_bits=2",
        "data.on_duplicate=remove",
        "data.on_leakage=remove",
    ],
    "pretrain": [
        "seed=1",
        "data.image_size=32",
        "data.sampling=balanced",
        "data.training_rules=[{label: [0, 0]}]",
        "data.training_images=50",
        "views.rotation_degrees=5",
        "views.policy=crop",
        "encoder.filters=[3]",
        "encoder.name=conv4",
        "method.temperature=0.2",
        "training.batch_size=10",
        "training.warmup_epochs=2",
    ],
    "evaluate": [
        "evaluation.neighbours=3",
        "evaluation.neighbour_sweep=[]",
        "evaluation.regularisation_sweep=[2.0]",
        "evaluation.measures=[calibration]",
        "evaluation.baselines=[pixels]",
        "evaluation.label_fractions=[0.1]",
        "evaluation.rsm_latent=posX",
    ],
    "export": [],
}


def test_fingerprints_are_the_same_for_the_same_configuration(tmp_path: Path) -> None:
    assert _inputs(tmp_path / "a") == _inputs(tmp_path / "b")


@pytest.mark.parametrize(
    ("first", "setting"),
    [(step, setting) for step, settings in MATTERS.items() for setting in settings],
)
def test_a_setting_touches_its_step_and_those_after_it(
    first: str, setting: str, tmp_path: Path
) -> None:
    before, after = _inputs(tmp_path / "a"), _inputs(tmp_path / "b", setting)
    changed = [step for step in STEPS if before[step] != after[step]]
    assert changed == list(STEPS[STEPS.index(first) :])


def test_the_name_of_a_run_touches_nothing(tmp_path: Path) -> None:
    assert _inputs(tmp_path / "a") == _inputs(tmp_path / "b", "name=other")


def test_how_much_may_be_rejected_does_not_name_the_data_set(tmp_path: Path) -> None:
    names = set()
    for number, setting in enumerate(
        ["name=x", "data.max_reject_share=0.5", "data.full_check=true"]
    ):
        config = override(START, [setting])
        run = RunDirectory(tmp_path / str(number), config, {})
        names.add(data_set_name(Context(config, run, str(tmp_path), (), no_progress, print)))
    assert len(names) == 1


def test_the_same_images_in_another_folder_are_the_same_data(
    two_classes: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "é moved"
    moved.symlink_to(two_classes)
    folder = ["data.source=folder", "data.image_size=16"]
    here = _inputs(tmp_path / "a", *folder, f"data.path={two_classes}")
    there = _inputs(tmp_path / "b", *folder, f"data.path={moved}")
    assert here == there


def test_a_study_is_of_the_files_that_its_encoders_read(tmp_path: Path) -> None:
    weights, baseline = tmp_path / "net.pth", tmp_path / "metrics.json"
    own = ("method.name=pretrained", f"method.weights={weights}")
    settings = ("evaluation.robustness=main", f"evaluation.robustness_baseline={tmp_path}")
    config = override(START, settings).model_copy(
        update={"study": StudyConfig(encoders={"published": own})}
    )
    context = Context(
        config, RunDirectory(tmp_path / "run", config, {}), str(tmp_path), (), no_progress, print
    )

    def inputs(content: bytes, accuracy: float) -> str:
        weights.write_bytes(b"PK" + content)
        baseline.write_text(f'{{"robustness/mean_accuracy": {accuracy}}}')
        return step_inputs("study", context)

    first = inputs(b"a", 0.5)
    assert inputs(b"b", 0.5) != first
    assert inputs(b"a", 0.25) != first
    assert inputs(b"a", 0.5) == first


def test_published_corruptions_are_known_by_what_is_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "corrupted"
    folder.mkdir()
    settings = ("evaluation.robustness=main", f"evaluation.corrupted_tfds={folder}")
    before = _inputs(tmp_path / "a", *settings)
    (folder / "noise.tfrecord").write_bytes(b"records")
    after = _inputs(tmp_path / "b", *settings)
    changed = [step for step in STEPS if before[step] != after[step]]
    assert changed == ["evaluate", "export"]


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("evaluation.rsm_latent", ["evaluation.rsm_latent=posx"]),
        ("study.rsm_latents", ["study={encoders: {plain: []}, rsm_latents: [posX, posx]}"]),
    ],
)
def test_an_unknown_latent_is_refused_before_anything_is_written(
    key: str, settings: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"{re.escape(key)}='posx' is no latent") as refusal:
        _inputs(tmp_path, *settings)
    assert "expected shape, scale, orientation, posX, posY" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def _code_of(step: str, folder: Path, *settings: str) -> set[str]:
    config = override(START, settings)
    run = RunDirectory(folder / "run", config, {})
    context = Context(config, run, str(folder / "datasets"), (), no_progress, print)
    return set(read_code(step_dependencies(step, context)).modules)


@pytest.mark.parametrize("step", ["pretrain", "embed", "finetune", "evaluate", "export"])
def test_the_chosen_method_encoder_and_views_are_code_that_counts_and_others_are_not(
    step: str, tmp_path: Path
) -> None:
    components = "twofold.components"
    method = f"{components}.methods.contrastive"
    found = _code_of(step, tmp_path, "encoder.name=core", "views.policy=crop")
    assert {
        f"{method}.simclr",
        f"{components}.losses.contrastive",
        f"{components}.encoders.convolutional.core",
        f"{components}.transforms.geometry.crop",
        f"{components}.training.step",
    } <= found
    assert f"{method}.nnclr" not in found
    other = _code_of(step, tmp_path, "method.name=nnclr", "encoder.name=conv4")
    assert f"{method}.nnclr" in other
    assert f"{components}.encoders.convolutional.core" not in other


def test_the_teacher_and_the_views_of_fine_tuning_count(tmp_path: Path) -> None:
    encoder = "twofold.components.encoders.convolutional"
    teacher = "method={name: self_training, teacher: {encoder: {name: conv4}}}"
    assert f"{encoder}.conv4" in _code_of("pretrain", tmp_path, "encoder.name=core", teacher)


def test_a_method_of_a_users_own_counts_with_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "loss.py").write_text("SCALE = 2")
    (tmp_path / "mine" / "method.py").write_text("from mine.loss import SCALE")
    (tmp_path / "mine" / "settings.py").write_text(
        "from typing import ClassVar, Literal\n"
        "from twofold.components.methods.settings import MethodSettings\n"
        "class MineSettings(MethodSettings):\n"
        "    implementation: ClassVar[str] = 'mine.method:Mine'\n"
        "    name: Literal['mine'] = 'mine'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = importlib.import_module("mine.settings").MineSettings
    monkeypatch.setitem(METHODS.classes, "mine", settings)
    found = _code_of("pretrain", tmp_path, "method={name: mine}")
    assert {"mine.settings", "mine.method", "mine.loss"} <= found


@pytest.mark.parametrize("step", DEPENDENCIES)
def test_what_a_step_depends_on_and_what_not_are_modules_that_there_are(step: str) -> None:
    dependencies = DEPENDENCIES[step]
    for name in (*dependencies.roots, *dependencies.without):
        assert read_source(name.removesuffix(".*")) is not None, name
    assert NO_SOURCE not in read_code(dependencies).modules.values()


@pytest.mark.parametrize(
    "settings", [RunConfig, DataConfig, EvaluationConfig, ExportConfig, StudyConfig]
)
def test_settings_hold_values_alone_since_their_code_is_no_part_of_a_fingerprint(
    settings: type[Section],
) -> None:
    decides = (property, functools.cached_property, FunctionType, classmethod, staticmethod)
    own = {name for name, value in vars(settings).items() if isinstance(value, decides)}
    assert not {name for name in own if not name.startswith(("_", "model_"))}


def test_what_lists_the_parts_of_a_data_set_counts_for_it_alone(tmp_path: Path) -> None:
    assert "twofold.components.files" in _code_of("prepare", tmp_path)
    assert "twofold.components.files" not in _code_of("pretrain", tmp_path)


@pytest.mark.parametrize("settings", [[], ["method.name=byol"]])
def test_what_chooses_the_policies_of_a_methods_views_counts(
    settings: list[str], tmp_path: Path
) -> None:
    assert "twofold.components.methods.settings" in _code_of("pretrain", tmp_path, *settings)
