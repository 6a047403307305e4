"""Reports of a training's course: on the terminal, in files; nothing here needs TensorFlow."""
