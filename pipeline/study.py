"""Several encoders of the same images: each a run of its own, then all of them side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction

from pipeline.artifacts import fingerprint
from pipeline.config import ConfigError, RunConfig, StudyConfig, SupervisedConfig, override
from pipeline.steps import run_steps
from pipeline.steps.context import Context
from pipeline.steps.inputs import step_inputs
from pipeline.tensorflow_import import import_tensorflow

STEP = "study"
# What members may differ in beside method, encoder, views and training.
_OF_THE_DATA = ("training_rules", "training_images", "training_seed")


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of a study.

    Attributes:
        encoder: its name in the study.
        seed: of the run.
        context: what its steps are handed.
        fraction: of the labels that it trains with.

    """

    encoder: str
    seed: int
    context: Context
    fraction: float = 1.0


def run_study(context: Context) -> bool:
    """Runs the members of a study that are not finished, and measures them side by side.

    The members' directories are in the study's own; each is a run like any other.

    Returns:
        Whether there was anything to do.

    Raises:
        ConfigError: if a member's settings cannot be used.

    """
    study = study_of(context.config)
    whole = [
        (encoder, seed, member_config(context.config, encoder, seed))
        for seed in study.seeds
        for encoder in study.encoders
    ]
    inputs = fingerprint(
        {
            "step": f"{STEP}-1",
            "source": step_inputs("prepare", context),
            "configuration": context.config.model_dump(mode="json", exclude={"name"}),
        }
    )
    if context.run.is_done(STEP, inputs) and _members_are_there(context):
        context.say(f"{STEP}: finished before, reused")
        return False
    import_tensorflow()
    from pipeline.report import write_report
    from pipeline.study_measures import measure_study

    with context.run.record(STEP, inputs) as entry:
        members: list[Member] = []
        for encoder, seed, config in whole:
            member = Member(encoder, seed, _part(context, config))
            _run(member, "evaluate", described=bool(members))
            write_report(member.context.run.path, context.datasets)
            members.append(member)
            if isinstance(config.method, SupervisedConfig):
                for fraction in fewer_labels(study):
                    less = _on_fewer_labels(context, member, fraction)
                    # Its own classifier is all that is asked for.
                    _run(less, "pretrain", described=True)
                    members.append(less)
        entry["details"]["members"] = [member.context.config.name for member in members]
        entry["metrics"] = measure_study(context, members, entry["details"])
    context.say(f"{STEP}: done in {context.run.seconds(STEP):.1f} s")
    return True


def study_of(config: RunConfig) -> StudyConfig:
    """Returns the study of a configuration.

    Raises:
        ConfigError: if it has none.

    """
    if config.study is None:
        raise ConfigError(f"{config.name} is no study: expected study.encoders")
    return config.study


def member_config(config: RunConfig, encoder: str, seed: int) -> RunConfig:
    """Returns the configuration of an encoder of a study.

    Raises:
        ConfigError: if its settings cannot be used, or it would see other images.

    """
    settings = study_of(config).encoders[encoder]
    try:
        alone = override(config.model_copy(update={"study": None}), settings)
    except ConfigError as error:
        raise ConfigError(f"study.encoders.{encoder}: {error}") from None
    own = {name: getattr(alone.data, name) for name in _OF_THE_DATA}
    if alone.data != config.data.model_copy(update=own):
        raise ConfigError(
            f"study.encoders.{encoder}: all encoders of a study see the same images: expected of "
            f"data.* no settings but {', '.join(_OF_THE_DATA)}"
        )
    return alone.model_copy(update={"name": f"{encoder}-seed-{seed}", "seed": seed})


def label_name(config: RunConfig) -> str:
    """Returns what the images' label is called."""
    return config.data.label_latent or ("shape" if config.data.source == "dsprites" else "class")


def fewer_labels(study: StudyConfig) -> list[float]:
    """Returns the shares of the labels that are not all, ascending."""
    return sorted(fraction for fraction in set(study.label_fractions) if fraction < 1)


def epochs_on_fewer(epochs: int, fraction: float) -> int:
    """Returns ceil(epochs / sqrt(fraction)): fewer labels are gone through more often."""
    # As written, a hundredth takes ten times the epochs; as floats it is a little more.
    return math.ceil(round(epochs / math.sqrt(Fraction(str(fraction))), 9))


def _members_are_there(context: Context) -> bool:
    names: Iterator[str] = iter(context.run.details(STEP)["members"])
    folders = (context.run.path / name / "checkpoints" / "final" for name in names)
    return all((folder / "weights.index").exists() for folder in folders)


def _part(study: Context, config: RunConfig) -> Context:
    return dataclasses.replace(study, config=config, run=study.run.part(config))


def _run(member: Member, until: str, *, described: bool) -> None:
    """Runs a member's steps; all prepare the same images, which are described once."""
    context = member.context
    context.say(f"{context.config.name}:")
    try:
        if described:
            run_steps(dataclasses.replace(context, say=lambda line: None), "prepare")
        run_steps(context, until)
    finally:
        context.run.close()


def _on_fewer_labels(study: Context, member: Member, fraction: float) -> Member:
    from pipeline.steps.images import load_training_images

    whole = member.context.config
    less = whole.data.model_copy(update={"label_share": fraction, "label_seed": member.seed})
    name = f"{whole.name}-labels-{fraction:g}"
    config = whole.model_copy(update={"name": name, "data": less})
    probed = dataclasses.replace(member.context, config=config)
    split = load_training_images(probed, probed.manifest()).labelled
    training = whole.training.model_copy(
        update={
            "epochs": epochs_on_fewer(whole.training.epochs, fraction),
            # Of few labels all are in each batch.
            "batch_size": min(whole.training.batch_size, int((split.labels >= 0).sum())),
        }
    )
    part = _part(study, config.model_copy(update={"training": training}))
    return Member(member.encoder, member.seed, part, fraction)
