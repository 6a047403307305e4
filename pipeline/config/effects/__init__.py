"""Settings without effect, section by section: when something reads them."""
