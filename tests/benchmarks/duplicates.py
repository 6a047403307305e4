"""Benchmark of the search for duplicates: processor time, comparisons and memory as sets grow.

`python -m tests.benchmarks.duplicates 50000 500000 2000000` prints a row for each number of images
and each kind of hashes: random ones, and such of which a fifth are copies of others, half of these
equal and half two bits apart. Each is searched by one worker, if it is small enough for that, and
by the stages of a search on two worker processes; the images are rows without pixels.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from twofold.components.data.preparation import beam_pipeline
from twofold.components.data.preparation.duplicate_search.join_clusters import (
    comparisons,
    join_clusters,
)
from twofold.components.data.preparation.duplicate_search.search_area import SearchSizes
from twofold.components.data.preparation.engines.runners import new_pipeline
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.rules.duplicates import find_duplicates
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source

ROWS_OF_A_PART = 8192
MOST_FOR_ONE = 2_000_000
WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
Columns = tuple[np.ndarray, ...]
Search = Callable[[str, int, str], dict[str, object]]


def made(kind: str, count: int) -> Columns:
    """Sort keys and digests, uint64 [N, 2], hashes, detail hashes, and which are held out."""
    rng = np.random.default_rng(0)
    hashes, details = rng.integers(0, 2**64, (2, count), dtype=np.uint64)
    if kind == "clustered":
        copies = count // 5
        origins = rng.integers(0, count // 20, copies)
        hashes[-copies:], details[-copies:] = hashes[origins], details[origins]
        changed = rng.random(copies) < 0.5
        for _ in range(2):
            bits = np.uint64(1) << rng.integers(0, 64, copies, dtype=np.uint64)
            hashes[-copies:] ^= np.where(changed, bits, np.uint64(0))
    keys, digests = (rng.integers(0, 2**64, (count, 2), dtype=np.uint64) for _ in range(2))
    return keys, digests, hashes, details, rng.random(count) < 0.1


def write_parts(staging: StagingArea, columns: Columns) -> tuple[str, ...]:
    """What a search reads of parts; their names."""
    names: list[str] = []
    Path(staging.folder("parts")).mkdir()
    for start in range(0, len(columns[0]), ROWS_OF_A_PART):
        keys, digests, hashes, details, held_out = (
            column[start : start + ROWS_OF_A_PART] for column in columns
        )
        order = np.argsort(held_out, kind="stable")
        split = int((~held_out).sum())
        binary = {
            name: pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), len(order), [None, pa.py_buffer(np.ascontiguousarray(each[order]))]
            )
            for name, each in (("sort_key", keys.astype(">u8")), ("pixel_digest", digests))
        }
        plain = {"perceptual_hash": hashes[order], "detail_hash": details[order]}
        spans = {"train": [0, split], "test": [split, len(order)]}
        batch = pa.record_batch({**binary, **plain})
        batch = batch.replace_schema_metadata({"spans": json.dumps(spans)})
        names.append(f"{len(names):06d}")
        with pa.ipc.new_file(staging.path("parts", f"{names[-1]}.arrow"), batch.schema) as writer:
            writer.write_batch(batch)
    return tuple(names)


def by_one(kind: str, count: int, _: str) -> dict[str, object]:
    """One worker that holds all."""
    keys, digests, hashes, details, held_out = made(kind, count)
    rows = np.lexsort((keys[:, 1], keys[:, 0]))
    columns = digests[rows], hashes[rows], held_out[rows], hashes[rows] != 0
    before = time.process_time()
    found = find_duplicates(*columns, bits=6, details=details[rows])
    return {
        "CPU-s": round(time.process_time() - before, 2),
        "clusters": len(np.unique(found.near)),
        "leaked": int(found.leaked.sum()),
        "worker MB": _peak(resource.RUSAGE_SELF),
    }


def write(kind: str, count: int, folder: str) -> dict[str, object]:
    """The parts that `by_many` searches."""
    return {"parts": write_parts(_staging(folder), made(kind, count))}


def by_many(kind: str, count: int, folder: str) -> dict[str, object]:
    """The stages on two worker processes, and what they found joined."""
    staging = _staging(folder)
    parts = tuple(f"{number:06d}" for number in range(-(-count // ROWS_OF_A_PART)))
    buckets = -(-count // beam_pipeline._IMAGES_AT_ONCE)
    sizes = SearchSizes("search", beam_pipeline._PARTS_AT_ONCE, buckets)
    with quiet():
        pipeline = new_pipeline(WORKERS)
        scanned = pipeline | beam.Create([("parts", "all")]) | beam.GroupByKey()
        beam_pipeline._search(scanned, staging, parts, sizes)
        pipeline.run().wait_until_finish()
    seconds = sum(map(_seconds, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    launcher, worker = map(_peak, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    before = time.process_time()
    found = join_clusters(staging, sizes)
    left = list(Path(staging.folder("search")).iterdir())
    return {
        # Of all processes, their imports included.
        "CPU-s": round(seconds, 2),
        "clusters": count - len(found.keys) + len(np.unique(found.duplicates.near)),
        "leaked": int(found.duplicates.leaked.sum()),
        "join CPU-s": round(time.process_time() - before, 2),
        "launcher MB": launcher,
        "worker MB": worker,
        "join MB": _peak(resource.RUSAGE_SELF),
        "compared with": round(comparisons(staging, sizes) / count, 1),
        "files": len(left),
        "MB": sum(path.stat().st_size for path in left) >> 20,
    }


def _staging(folder: str) -> StagingArea:
    return StagingArea(folder, build_source("dsprites", images=5), PrepareSettings())


def _peak(who: int) -> int:
    return resource.getrusage(who).ru_maxrss >> 10


def _seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a row for each search, which is measured in a process of its own."""
    for count in map(int, sys.argv[1:] or ["50000", "500000", "2000000"]):
        for kind in ("random", "clustered"):
            if count <= MOST_FOR_ONE:
                print(count, kind, "one", _in_a_process(by_one, kind, count, ""), flush=True)
            with tempfile.TemporaryDirectory() as folder:
                _in_a_process(write, kind, count, folder)
                row = _in_a_process(by_many, kind, count, folder)
            print(count, kind, "many", row, flush=True)


def _in_a_process(search: Search, kind: str, count: int, folder: str) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    child = context.Process(target=_measure, args=(search, kind, count, folder, results))
    child.start()
    row: dict[str, object] = results.get()
    child.join()
    return row


def _measure(search: Search, kind: str, count: int, folder: str, results: Any) -> None:
    results.put(search(kind, count, folder))


if __name__ == "__main__":
    main()
