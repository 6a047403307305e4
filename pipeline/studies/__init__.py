"""Studies: several encoders trained and measured side by side."""
