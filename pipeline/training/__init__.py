"""Training stages: input pipeline, checkpoints, curves."""
