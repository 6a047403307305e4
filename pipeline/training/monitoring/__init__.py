"""Monitoring of a training in TensorBoard; no result depends on it."""
