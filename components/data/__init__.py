"""Data sets: from raw images to TFRecord shards, and back into batches."""
