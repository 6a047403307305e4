"""Self-supervised losses, each one function of projections."""
