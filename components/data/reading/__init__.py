"""Input data: prepared splits as arrays, and batches as a function of seed and step."""
