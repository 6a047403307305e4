"""HTML pages: base template, style, charts, and one module per kind of page."""
