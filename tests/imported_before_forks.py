"""What is imported before processes are forked: TensorFlow, and what runs are made of."""

import gc
import importlib

from twofold.pipeline.tensorflow_import import import_tensorflow

gc.disable()
import_tensorflow()
for _step in ("prepare", "pretrain", "evaluate", "export"):
    importlib.import_module(f"twofold.pipeline.steps.{_step}")
importlib.import_module("twofold.pipeline.cli.app")
# Forked processes neither look for garbage among the modules nor copy their pages for it.
gc.freeze()
gc.enable()
