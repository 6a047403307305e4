"""What a training is resumed from, and what ends it early; nothing here needs TensorFlow."""
