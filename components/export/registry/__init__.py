"""Model registry: the versioned directory that a server watches."""
