"""SavedModel export and its proof."""
