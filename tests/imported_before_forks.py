"""What is imported before processes are forked: TensorFlow, and what runs are made of."""

import importlib

from twofold.pipeline.tensorflow_import import import_tensorflow

import_tensorflow()
for _step in ("prepare", "pretrain", "evaluate", "export"):
    importlib.import_module(f"twofold.pipeline.steps.{_step}")
importlib.import_module("twofold.pipeline.cli.app")
