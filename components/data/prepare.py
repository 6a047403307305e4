"""From a source to a folder of shards with a manifest, through one Beam pipeline."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import logging
import math
import re
import shutil
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.data.errors import DataError
from components.data.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    Counts,
    Manifest,
    PixelStatistics,
    Settings,
    Shard,
    SourceRecord,
    SplitRecord,
    load_manifest,
)
from components.data.shards import (
    Group,
    Plan,
    Rows,
    images_done,
    parts_folder,
    scan,
    write_group,
)
from components.data.sources.base import Source, SourceInfo
from components.data.staging import staged_directory
from components.data.statistics import Statistics

HELD_OUT_SPLITS = ("validation", "test")
_WATCH_SECONDS = 0.5


def dataset_fingerprint(
    info: SourceInfo,
    *,
    test_share: float = 0.2,
    split_seed: int = 0,
    validation_share: float = 0.0,
    images_per_shard: int = 2048,
) -> str:
    """The fingerprint, sha256 (hex), that `prepare` records for a source and these settings."""
    identity = {
        "format_version": FORMAT_VERSION,
        "source": [info.kind, info.fingerprint],
        "test_share": float(test_share),
        "split_seed": split_seed,
        "validation_share": float(validation_share),
        "images_per_shard": images_per_shard,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def prepare(
    source: Source,
    output_dir: Path | str,
    *,
    name: str,
    test_share: float = 0.2,
    split_seed: int = 0,
    validation_share: float = 0.0,
    max_reject_share: float = 0.01,
    images_per_shard: int = 2048,
    beam_options: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Manifest:
    """Write a dataset: shards, rejects.jsonl where images were rejected, and manifest.json.

    The folder appears whole or not at all, and holds the same bytes whatever runner and number of
    workers made it. If it already holds this dataset, nothing is done. An image goes to the split
    that its source names, otherwise to `test` or `train` by a hash of its key. The pixel statistics
    are of the splits that are not held out. The folder must be on a file system that all workers
    share.

    Args:
        source: where the images come from.
        output_dir: the dataset's folder.
        name: what to call the dataset in its manifest.
        test_share: of the images without a split of their own, the share that goes to `test`.
        split_seed: another seed draws another such test split.
        validation_share: of the images that would be in `train`, the share that goes to
            `validation`, by a hash of the key.
        max_reject_share: of all images, the largest share that may be rejected.
        images_per_shard: roughly, since images fall into shards by hash.
        beam_options: Beam's command-line options; without `--runner=` it is FnApiRunner.
        progress: called now and then, from a thread of its own, with how many images are through.

    Raises:
        DataError: a setting is out of range, too many images were rejected (or all), or the folder
            holds something else.

    """
    _check_settings(test_share, validation_share, max_reject_share, images_per_shard)
    output_dir = Path(output_dir).absolute()
    info = source.info()
    fingerprint = dataset_fingerprint(
        info,
        test_share=test_share,
        split_seed=split_seed,
        validation_share=validation_share,
        images_per_shard=images_per_shard,
    )
    present = _present(output_dir, fingerprint)
    if present is not None:
        _check_rejects(present.counts, (), max_reject_share)
        return present
    chunks = source.chunks()
    total = sum(chunk.stop - chunk.start for chunk in chunks)
    shards = _shard_counts(info, total, test_share, validation_share, images_per_shard)
    plan = Plan(shards, test_share, split_seed, validation_share)
    try:
        with staged_directory(output_dir) as staging:
            parts_folder(staging).mkdir()
            with _watched(staging, progress):
                _run(source, chunks, plan, staging, beam_options)
            rejects = _read_rejects(staging)
            counts = _count(total, rejects["reasons"])
            _check_rejects(counts, rejects["examples"], max_reject_share)
            statistics, sizes, channels = _summarise(staging)
            manifest = Manifest(
                format_version=FORMAT_VERSION,
                name=name,
                fingerprint=fingerprint,
                source=SourceRecord(
                    kind=info.kind, fingerprint=info.fingerprint, ignored=info.ignored
                ),
                settings=Settings(
                    test_share=test_share,
                    split_seed=split_seed,
                    validation_share=validation_share,
                    max_reject_share=max_reject_share,
                    images_per_shard=images_per_shard,
                ),
                class_names=info.class_names,
                latent_names=info.latent_names,
                channels=channels,
                image_sizes=sizes,
                splits=_collect_splits(staging, info.class_names),
                statistics=statistics,
                counts=counts,
            )
            shutil.rmtree(parts_folder(staging))
            manifest.write(staging)
    except FileExistsError:
        # Another process published the folder while this one was at work.
        present = _present(output_dir, fingerprint)
        if present is None:
            raise
        return present
    return manifest


def _check_settings(
    test_share: float, validation_share: float, max_reject_share: float, images_per_shard: int
) -> None:
    for name, share in (("test_share", test_share), ("validation_share", validation_share)):
        if not 0 <= share < 1:
            raise DataError(f"{name} must be at least 0 and below 1, received {share}")
    if not 0 <= max_reject_share <= 1:
        raise DataError(f"max_reject_share must be from 0 to 1, received {max_reject_share}")
    if images_per_shard < 1:
        raise DataError(f"images_per_shard must be at least 1, received {images_per_shard}")


def _present(output_dir: Path, fingerprint: str) -> Manifest | None:
    """The dataset that is already there; None where the folder is absent or empty."""
    if not output_dir.exists() or (output_dir.is_dir() and not any(output_dir.iterdir())):
        return None
    if not (output_dir / MANIFEST_FILE).is_file():
        raise DataError(
            f"{output_dir} exists and is no prepared dataset (it has no {MANIFEST_FILE}); "
            "give another folder or remove it"
        )
    manifest = load_manifest(output_dir)
    if manifest.fingerprint != fingerprint:
        raise DataError(
            f"{output_dir} holds another dataset: expected fingerprint {fingerprint[:12]}, found "
            f"{manifest.fingerprint[:12]} ({manifest.name}); give another folder or remove it"
        )
    return manifest


def _shard_counts(
    info: SourceInfo, total: int, test_share: float, validation_share: float, images_per_shard: int
) -> dict[str, int]:
    """How many shards each split is spread over, before it is known how many images it has."""
    images: dict[str, float] = defaultdict(float, info.split_counts)
    undecided = total - sum(images.values())
    images["train"] += undecided * (1 - test_share)
    images["test"] += undecided * test_share
    images["validation"] += images["train"] * validation_share
    images["train"] *= 1 - validation_share
    return {split: max(1, math.ceil(n / images_per_shard)) for split, n in images.items()}


def _run(
    source: Source, chunks: Sequence[Any], plan: Plan, staging: Path, beam_options: Sequence[str]
) -> None:
    with _quiet():
        # Beam takes seconds to import, which only this step should cost.
        import apache_beam as beam

        pipeline = _new_pipeline(beam_options)
        check = functools.partial(scan, source=source, plan=plan, directory=str(staging))
        rows = (
            pipeline
            | "Chunks" >> beam.Create(chunks)
            | "Scan" >> beam.FlatMap(check).with_output_types(tuple[Group, Rows])
            | "Group" >> beam.GroupByKey()
        )
        write = functools.partial(write_group, source=source, directory=str(staging))
        _ = rows | "Write" >> beam.FlatMap(write).with_output_types(None)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            fault = _input_at_fault(error)
            if fault is None:
                raise
            raise fault from error


@contextlib.contextmanager
def _watched(staging: Path, progress: Callable[[int], None] | None) -> Iterator[None]:
    """Tells the progress of the block by what lies in the staging folder, on whatever runner."""
    if progress is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_SECONDS):
            progress(images_done(staging))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    progress(images_done(staging))


def _new_pipeline(beam_options: Sequence[str]) -> Any:
    """A Beam pipeline on the runner that the options name, or else on FnApiRunner.

    Raises:
        DataError: Beam does not know the runner or an option, or refuses an option's value.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            options = PipelineOptions(flags=list(beam_options))
            runner = options.view_as(StandardOptions).runner
            known = options.get_all_options(drop_default=True)
            given = options.get_all_options(drop_default=True, retain_unknown_options=True)
        # Other runners take options that Beam learns of only when it talks to them.
        unknown = sorted(set(given) - set(known)) if runner in (None, "FnApiRunner") else []
        if unknown:
            raise DataError(f"unknown Beam options: {', '.join(f'--{name}' for name in unknown)}")
        # DirectRunner, Beam's own default, may download and become another runner.
        return beam.Pipeline(runner=runner or FnApiRunner(), options=options)
    except SystemExit as error:
        reason = usage.getvalue().strip().rpartition("error: ")[2]
        raise DataError(f"Beam refuses the options {' '.join(beam_options)}: {reason}") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"Beam refuses the options {' '.join(beam_options)}: {error}") from error


def _input_at_fault(error: Exception) -> DataError | None:
    """The DataError that a worker raised, None where it raised something else.

    Runners add to an exception's message where it was raised, or hand back its traceback as text.
    """
    name = DataError.__name__
    text = f"{name}: {error}" if isinstance(error, DataError) else str(error)
    found = re.search(rf"\b{name}: (.+?)(?: \[while running|\n|$)", text)
    return DataError(found.group(1)) if found else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence while Beam and Pillow work: what fails is raised or counted, whatever they print.

    Beam logs warnings on import and every worker's traceback; Pillow warns of images' oddities.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _read_rejects(staging: Path) -> dict[str, Any]:
    path = parts_folder(staging) / "rejects.json"
    if not path.exists():
        return {"reasons": {}, "examples": []}
    rejects: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return rejects


def _count(read: int, reasons: dict[str, int]) -> Counts:
    rejected = sum(reasons.values())
    return Counts(read=read, written=read - rejected, rejected=rejected, reasons=reasons)


def _check_rejects(counts: Counts, examples: Sequence[str], max_reject_share: float) -> None:
    if not counts.rejected:
        return
    if not counts.written or counts.rejected > max_reject_share * counts.read:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(counts.reasons.items()))
        raise DataError(
            f"{counts.rejected} of {counts.read} images were rejected ({reasons}), and the largest "
            f"share allowed (max_reject_share) is {max_reject_share:g}"
            + (f"; the first: {'; '.join(examples)}" if examples else "")
        )


def _summarise(staging: Path) -> tuple[PixelStatistics, dict[str, int], int]:
    """Statistics of the splits that are not held out, image sizes, channels."""
    by_split = {
        path.stem.split(" ")[1]: Statistics.from_json(path.read_text(encoding="utf-8"))
        for path in parts_folder(staging).glob("statistics *.json")
    }
    everything = Statistics()
    for counted in by_split.values():
        everything.merge(counted)
    splits = sorted(set(by_split) - set(HELD_OUT_SPLITS)) or sorted(by_split)
    chosen = Statistics()
    for split in splits:
        chosen.merge(by_split[split])
    mean, std = chosen.mean_and_deviation(everything.channels)
    statistics = PixelStatistics(splits=tuple(splits), mean=tuple(mean), std=tuple(std))
    return statistics, dict(everything.sizes), everything.channels


def _collect_splits(staging: Path, class_names: Sequence[str]) -> dict[str, SplitRecord]:
    """Move the shards to their final names; a shard that no image fell into does not exist."""
    accounts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(parts_folder(staging).glob("images *.json")):
        account = json.loads(path.read_text(encoding="utf-8"))
        accounts[account["split"]].append(account)
    splits = {}
    for split, parts in accounts.items():
        labels = dict.fromkeys(class_names, 0)
        unlabelled = 0
        shards = []
        for number, part in enumerate(parts):
            file = f"{split}-{number:05d}-of-{len(parts):05d}.tfrecord"
            (parts_folder(staging) / part["file"]).replace(staging / file)
            size, digest = part["bytes"], part["sha256"]
            shards.append(Shard(file=file, images=part["images"], bytes=size, sha256=digest))
            for label, images in part["labels"].items():
                if int(label) < 0:
                    unlabelled += images
                else:
                    labels[class_names[int(label)]] += images
        splits[split] = SplitRecord(
            images=sum(shard.images for shard in shards),
            labels=labels,
            unlabelled=unlabelled,
            shards=tuple(shards),
        )
    return splits
