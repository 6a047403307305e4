"""Kills of trainings at random points, and whether what is resumed equals what was never killed."""
