"""Items of a source, as its tasks give them."""


def items_by_key(source, items=25):
    """Reads a whole source, so many items a task."""
    return {item.key: item for task in source.tasks(items) for item in source.read(task)}
