"""Rules of a preparation: what counts as an image, duplicates, settings."""
