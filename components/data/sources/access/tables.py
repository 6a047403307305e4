"""CSV and Parquet columns, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from twofold.components import files
from twofold.components.errors import DataError

KINDS = (".csv", ".csv.gz", ".parquet")
_ROWS = 4096
_CSV_BLOCK_BYTES = 1 << 20


def column_names(path: str) -> list[str]:
    """The names of a table's columns.

    Raises:
        DataError: there is no such file, or it is no readable table.

    """
    with _reporting(path), _open(path) as file:
        names: list[str]
        if path.endswith(".parquet"):
            names = pyarrow.parquet.ParquetFile(file).schema_arrow.names
        else:
            with _open_csv(file, {}) as reader:
                names = reader.schema.names
        return names


def read_columns(path: str, columns: Mapping[str, str]) -> Iterator[dict[str, list[Any]]]:
    """Rows in order, some thousands at a time: of each column its values, one a row.

    Args:
        path: the table.
        columns: what to call each column, and its name in the table.

    Returns:
        Text, "" where there is none. Columns of fractions have floats, None where there is none.

    Raises:
        DataError: the table is damaged, or a column holds neither text nor numbers.

    """
    names = list(dict.fromkeys(columns.values()))
    with _reporting(path), _open(path) as file:
        for batch in _batches(path, file, names):
            values = {name: _values(path, name, batch.column(name)) for name in names}
            yield {called: values[name] for called, name in columns.items()}


def _batches(path: str, file: Any, names: list[str]) -> Iterator[pa.RecordBatch]:
    if path.endswith(".parquet"):
        yield from pyarrow.parquet.ParquetFile(file).iter_batches(_ROWS, columns=names)
        return
    options = {"include_columns": names, "column_types": dict.fromkeys(names, pa.string())}
    with _open_csv(file, options) as reader:
        for batch in reader:
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)


def _open_csv(file: Any, options: Mapping[str, Any]) -> Any:
    return pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
        convert_options=pyarrow.csv.ConvertOptions(**options),
    )


@contextmanager
def _open(path: str) -> Iterator[Any]:
    if files.size(path) is None:
        if files.exists(path):
            raise DataError(f"{path} is a folder: expected a file ending in {', '.join(KINDS)}")
        raise DataError(f"no such file: {path}")
    if not path.endswith(KINDS):
        raise DataError(f"{path}: expected a file ending in {', '.join(KINDS)}")
    source = files.open_input(path) if files.is_remote(path) else path
    compression = "gzip" if path.endswith(".gz") else None
    with pa.input_stream(source, compression) if compression else _seekable(source) as file:
        yield file


def _seekable(source: Any) -> Any:
    return pa.OSFile(source) if isinstance(source, str) else pa.PythonFile(source, mode="r")


@contextmanager
def _reporting(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable table ({error})") from error


def _values(path: str, name: str, column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values: list[Any] = column.cast(pa.float64()).to_pylist()
        return values
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not is_text and not pa.types.is_integer(kind) and not pa.types.is_null(kind):
        raise DataError(f"{path}: column {name!r}: expected text or numbers, received {kind}")
    texts: list[Any] = column.cast(pa.string()).fill_null("").to_pylist()
    return texts
