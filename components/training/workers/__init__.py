"""Several workers as one training: what they agree on, and what one tells the others."""
