"""How a training goes on: which settings may change, by what schedule, from whose weights."""
