"""Run directories: their record, page and comparison."""
