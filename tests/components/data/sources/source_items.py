"""Items of a source, as its tasks give them, and archives to read them from."""

import zipfile

# Folders by which a split goes, and the split.
SPLITS = (("train", "train"), ("valid", "validation"), ("TEST", "test"))


def write_zip(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def items_by_key(source, items=25):
    """Reads a whole source, so many items a task."""
    return {item.key: item for task in source.tasks(items) for item in source.read(task)}


def labels_and_splits(source):
    """By key, an image's split and the name of its class, or None."""
    names = source.info().class_names
    return {
        key: (item.split, names[item.label] if item.label >= 0 else None)
        for key, item in items_by_key(source).items()
    }


def images_of_splits(folders, images=1):
    """Keys of two classes' images in every split, with what `labels_and_splits` gives of them.

    Args:
        folders: of an image, with {split} and {name} for those of its split and its class.
        images: of each class and split.

    """
    return {
        f"{folders.format(split=folder, name=name)}/{number}.jpg": (split, name)
        for folder, split in SPLITS
        for name in ("cat", "dog")
        for number in range(images)
    }
