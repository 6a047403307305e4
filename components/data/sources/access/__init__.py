"""File access of the sources: listings, archives, tables and records."""
