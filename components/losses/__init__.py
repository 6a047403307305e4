"""Losses of all methods, each one function that returns the share of this replica."""
