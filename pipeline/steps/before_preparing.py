"""Check of a run's settings before its images are prepared, which may take hours."""

from __future__ import annotations

from twofold.components.training.continuing.start_report import read_start
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks.image_size import check_image_size
from twofold.pipeline.tensorflow_import import import_tensorflow
from twofold.pipeline.training.stage_callbacks import check_callbacks


def check_before_preparing(context: Context, until: str) -> None:
    """Refuses what can be told from settings, the files that they name, and the first images.

    Args:
        context: of a run, of which nothing needs to be there.
        until: its last step.

    Raises:
        SettingsError: if settings do not fit one another, the first images, or files that they
            name, or these cannot be used.

    """
    config = context.config
    sizes = check_image_size(config, context.source)
    check_callbacks(config)
    given = config.training.start_from
    began = read_start(context.run.path / "checkpoints") or {}
    # A training that has begun needs them no more.
    begins = given is not None and began.get("from") != given
    if begins or config.method.weights_file is not None:
        # Imported when used: with TensorFlow.
        import_tensorflow()
        from twofold.pipeline.steps.checks.given_weights import check_given_weights

        check_given_weights(config, sizes)
    if until in ("evaluate", "export") and config.evaluation.robustness != "off":
        import_tensorflow()
        from twofold.pipeline.steps.measures.robustness_measure import open_named

        open_named(config.evaluation)
