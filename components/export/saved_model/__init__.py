"""SavedModel export: graph, signatures, lineage, checksums."""
