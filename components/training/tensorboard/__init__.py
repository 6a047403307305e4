"""TensorBoard: what it shows of a run, as it is written, under which names, and read back."""
