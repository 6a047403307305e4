"""Verification of a prepared data set, file by file and image by image."""
