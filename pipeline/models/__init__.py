"""Models: built from a configuration, inspected, promoted."""
