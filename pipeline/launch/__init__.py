"""Starting of several workers on one machine."""
