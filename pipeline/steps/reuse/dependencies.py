"""Code dependencies of each step's result: the one place that defines them.

A step depends on its own module and on all that this imports, in turn. What is left out cannot
change a number, a weight or a file of a result, and the reason stands beside it. Whatever is in
doubt stays in: a result that is made once too often costs time, and one that is stale is wrong.

What a run chooses (its source, method, encoder and views) is named by its settings;
``fingerprints.step_dependencies`` adds the modules of those, so that the others do not matter.
"""

from __future__ import annotations

from twofold.pipeline.runs.code_fingerprint import Dependencies

# Left out of every step.
_NO_RESULT = (
    # Exceptions and their texts: a step that raises one has no result.
    "twofold.components.errors",
    "twofold.components.write_errors",
    # Pictures and pages: drawn from results.
    "twofold.components.evaluation.plots.*",
    "twofold.components.pages.*",
    "twofold.pipeline.steps.plots.*",
    # How curves are written for TensorBoard; their last values are metrics as they are read back.
    "twofold.components.training.tensorboard.*",
    # How a training is shown and logged.
    "twofold.components.training.reporting.*",
    "twofold.pipeline.training.course_reports",
    "twofold.pipeline.training.monitoring.*",
    # How workers meet, and what they refuse; all of them restore the same files.
    "twofold.components.cluster",
    "twofold.components.training.workers.agreement",
    "twofold.components.training.workers.lost_workers",
    "twofold.components.training.workers.worker_group",
    "twofold.pipeline.steps.joining_workers",
    # A user's own callbacks are told of a training, and change nothing of it.
    "twofold.pipeline.training.stage_callbacks",
    # What metrics are called, and how their values are written.
    "twofold.components.evaluation.metric_catalogue",
    "twofold.components.evaluation.metrics",
    # The command line, and messages.
    "twofold.pipeline.cli.*",
    "twofold.pipeline.tensorflow_import",
    "twofold.pipeline.steps.training_remarks",
    # Settings: values alone, which are among a step's inputs, whatever they were read from.
    "twofold.components.settings",
    "twofold.pipeline.config.*",
    "twofold.pipeline.recipes.*",
    # Where runs are kept, how they are recorded and reused, and what refuses to begin.
    "twofold.pipeline.runs.*",
    "twofold.pipeline.reports.*",
    "twofold.pipeline.steps.before_preparing",
    "twofold.pipeline.steps.reuse.*",
    "twofold.pipeline.steps.runner",
)
# How files are written and flushed, not what is in them. Preparation also lists what it wrote.
_FILES = "twofold.components.files"
# A data set is known by its content and by the code that prepared it, which training takes over.
_DATA_SET = (
    "twofold.components.data.preparation.*",
    "twofold.components.data.sources.*",
    "twofold.components.data.verification.*",
)

_MEASURES = "twofold.pipeline.steps.measures"
_CONVERSION = "twofold.components.export.convert"

_PREPARATION = Dependencies(
    ("twofold.components.data.preparation.prepare_dataset",),
    (
        *_NO_RESULT,
        "twofold.components.data.sources",
        # The page of a data set.
        "twofold.components.data.preparation.report_content",
        # Every runner writes the same bytes.
        "twofold.components.data.preparation.engines",
        "twofold.components.data.preparation.quiet",
    ),
)

DEPENDENCIES = {
    "prepare": _PREPARATION,
    "pretrain": Dependencies(
        ("twofold.pipeline.steps.pretrain",),
        # What is measured of an encoder is measured when it is there.
        (*_NO_RESULT, _FILES, *_DATA_SET, f"{_MEASURES}.*"),
    ),
    # Two parts of the evaluation whose work is kept when the rest of it changes.
    "embed": Dependencies((f"{_MEASURES}.embedded_images",), (*_NO_RESULT, _FILES, *_DATA_SET)),
    "finetune": Dependencies(
        (f"{_MEASURES}.fine_tuning_measure",), (*_NO_RESULT, _FILES, *_DATA_SET)
    ),
    "evaluate": Dependencies(
        ("twofold.pipeline.steps.evaluate",), (*_NO_RESULT, _FILES, *_DATA_SET)
    ),
    # A converter is run by its name, in a process of its own.
    "export": Dependencies(
        (
            "twofold.pipeline.steps.export",
            f"{_CONVERSION}.convert_onnx",
            f"{_CONVERSION}.convert_litert",
        ),
        (*_NO_RESULT, _FILES, *_DATA_SET),
    ),
    # All that its members' steps depend on, too.
    "study": Dependencies(
        (
            "twofold.pipeline.studies.study_measures",
            "twofold.pipeline.studies.run_study",
            "twofold.pipeline.steps.evaluate",
            "twofold.pipeline.steps.pretrain",
            *_PREPARATION.roots,
        ),
        (
            *_PREPARATION.without,
            # Which process runs a member.
            "twofold.pipeline.studies.failed_members",
            "twofold.pipeline.studies.member_queue",
            "twofold.pipeline.studies.study_report",
            "twofold.pipeline.studies.study_figures",
        ),
    ),
}
