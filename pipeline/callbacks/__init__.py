"""Callbacks for experiment trackers: examples to use as they are or to copy."""
