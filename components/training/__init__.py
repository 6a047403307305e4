"""The training loop, its optimizers, checkpoints and monitors."""
