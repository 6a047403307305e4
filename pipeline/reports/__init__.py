"""Reports: the pages of runs, comparisons, and expected results."""
