"""Preparation of a data set: a Beam pipeline from a source to TFRecord shards."""
