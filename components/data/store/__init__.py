"""File formats of a prepared data set: manifest, records, image table."""
