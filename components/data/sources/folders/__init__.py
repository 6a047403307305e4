"""Folders of images: what their names say of splits and classes."""
