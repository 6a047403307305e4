"""Rehearsal of a run on one batch of its images, and what it will take."""
