"""TensorFlow Datasets folders: where prepared files are, or how they come to be there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.errors import DataError


def find_dataset(
    name: str, data_dir: str | Path | None, download: bool, manual_dir: str | Path | None
) -> Path:
    """The folder of a dataset's prepared version, prepared first if `download` is set.

    Without `download` the network is not reached: a dataset that is nowhere is reported at once,
    where `tfds.load` would try for minutes.

    Args:
        name: the dataset's name, or that folder.
        data_dir: the folder that datasets are prepared in, None for TFDS's own default.
        download: whether what is missing may be downloaded.
        manual_dir: a folder with the archives that the dataset is made from; None for none.

    Raises:
        DataError: the dataset is not prepared, and cannot be.

    """
    from tensorflow_datasets.core.constants import DATA_DIR
    from tensorflow_datasets.core.read_only_builder import builder_from_files
    from tensorflow_datasets.core.registered import DatasetNotFoundError

    for path in (name, data_dir, manual_dir):
        if path is not None and files.is_remote(path):
            raise DataError(f"tfds: {path}: datasets are read from a local disk; copy it there")
    folder = Path(name).expanduser().absolute()
    if (folder / "dataset_info.json").is_file():
        return folder
    root = Path(DATA_DIR if data_dir is None else data_dir).expanduser().absolute()
    try:
        # Unlike `tfds.builder`, this finds what is on disk whichever version TFDS's code is at.
        return Path(builder_from_files(name, data_dir=str(root)).data_dir)
    except (DatasetNotFoundError, FileNotFoundError):
        pass
    except ValueError as error:
        raise DataError(f"tfds: {name!r} is no dataset's name: {error}") from error
    if not download and manual_dir is None:
        prepare = f'tfds.builder("{name}", data_dir="{root}").download_and_prepare()'
        raise DataError(
            f"tfds: {name!r} is not prepared in {root} (prepared there: {_prepared(root)}); "
            "put the archives that it is made from into a folder and name that as "
            "tfds_manual_dir, or set tfds_download, or prepare it with: "
            f"python -c 'import tensorflow_datasets as tfds; {prepare}'"
        )
    return _prepare(name, root, download, manual_dir)


def _prepare(name: str, root: Path, download: bool, manual_dir: str | Path | None) -> Path:
    import tensorflow_datasets as tfds

    manual = None if manual_dir is None else Path(manual_dir).expanduser().absolute()
    if manual is not None and not manual.is_dir():
        raise DataError(f"tfds: tfds_manual_dir: no such folder: {manual}")
    try:
        builder = tfds.builder(name, data_dir=str(root))
        if not download:
            _refuse_downloads(builder)
        config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=download)
        builder.download_and_prepare(download_config=config)
    # A dataset's own code runs here and the network may be reached, so anything may be raised.
    except Exception as error:
        done = "downloaded" if download else f"prepared from {manual}"
        reason = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        advice = "; without a network, prepare it from its archives (tfds_manual_dir)" * download
        raise DataError(
            f"tfds: {name!r} could not be {done} to {root}: {reason}{advice}"
        ) from error
    return Path(builder.data_dir)


def _refuse_downloads(builder: Any) -> None:
    """Let the builder find files in its folders only.

    TFDS has no setting for this. It looks into the folder of manual downloads first, and only then
    asks for what is replaced here.
    """
    make = builder._make_download_manager

    def refuse(resource: Any, *_: Any) -> None:
        url = getattr(resource, "url", resource)
        known = (builder.url_infos or {}).get(url)
        file = f" as {known.filename}" if known is not None and known.filename else ""
        raise DataError(
            f"it needs {url}, which is not there{file}; put it there, or set tfds_download"
        )

    def make_offline(*arguments: Any, **settings: Any) -> Any:
        manager = make(*arguments, **settings)
        manager._download = refuse
        manager.download_kaggle_data = refuse
        return manager

    builder._make_download_manager = make_offline


def _prepared(root: Path) -> str:
    """The names of the datasets in a folder, with or without a configuration's folder."""
    found = {
        path.parent.relative_to(root)
        for pattern in ("*/*/features.json", "*/*/*/features.json")
        for path in root.glob(pattern)
    }
    names = [f"{path.parent.as_posix()}:{path.name}" for path in sorted(found)]
    return ", ".join(names) or "none"
