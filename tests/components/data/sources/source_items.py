"""Items of a source, as its tasks give them, and archives to read them from."""

import zipfile


def write_zip(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def items_by_key(source, items=25):
    """Reads a whole source, so many items a task."""
    return {item.key: item for task in source.tasks(items) for item in source.read(task)}
