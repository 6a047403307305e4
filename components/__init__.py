"""What the pipeline is made of; no part knows a run directory or a configuration object."""
