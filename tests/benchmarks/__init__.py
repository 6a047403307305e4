"""Measurements of speed and memory: tables to read, never tests that time something."""

from twofold.pipeline.tensorflow_import import choose_kernels

# Before any of them imports TensorFlow, so that they measure what the product runs.
choose_kernels()
