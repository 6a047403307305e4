"""From raw images to TFRecord shards and back into batches."""
