import json
import shutil

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.components.data.handmade import (
    accept,
    edit_index,
    edit_manifest,
    encode,
    entries,
    entry,
    order,
    picture,
    write_dataset,
)
from twofold.components import files
from twofold.components.data.store import record_schema
from twofold.components.data.store.manifest import IMAGES_FILE, MANIFEST_FILE, REJECTS_FILE
from twofold.components.data.store.tf_example import FOOTER, frame
from twofold.components.data.verification.examine_shard import read_records
from twofold.components.data.verification.findings import Finding
from twofold.components.data.verification.verify_dataset import verify_dataset
from twofold.components.errors import DataError


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """24 images in two splits of two shards."""
    directory = tmp_path_factory.mktemp("intact") / "dataset"
    rejects = [{"key": "bad", "reason": "damaged", "detail": "cut", "source_sha256": ""}]
    write_dataset(directory, entries(), rejects=rejects)
    return directory


@pytest.fixture
def dataset(tmp_path, intact):
    return shutil.copytree(intact, tmp_path / "dataset")


def files_of(findings):
    return {finding.file for finding in findings}


def problems(findings, file):
    return [finding.problem for finding in findings if finding.file == file]


def records_of(path):
    with path.open("rb") as file:
        return [each.data for each in read_records(file, path.stat().st_size, [])]


SHARD = "train-00000-of-00002.tfrecord"


def test_an_intact_dataset_gives_no_finding(intact):
    assert verify_dataset(intact) == []
    assert verify_dataset(intact, decode=False) == []


@pytest.mark.parametrize(
    "options",
    [
        {"latent_names": ("x", "y")},
        {"weighted": True},
        {"raw": True},
        {"class_names": ()},
        {"shards": 1},
        {"latent_names": ("x", "y"), "raw": True, "weighted": True, "shards": 3},
    ],
)
def test_every_kind_of_record_is_understood(tmp_path, options):
    images = [
        entry(
            f"{n}é<&>",
            "train" if n % 3 else "validation",
            -1 if options.get("class_names") == () else n % 2,
            pixels=picture(n, 4 + n, 7, 1 if n % 2 else 3),
            latents=(0.1 * n, float("nan")) if "latent_names" in options else (),
            weight=1 + n / 3 if "weighted" in options else 1.0,
        )
        for n in range(9)
    ]
    write_dataset(tmp_path / "dataset", images, **options)

    assert verify_dataset(tmp_path / "dataset") == []


def test_a_remote_dataset_is_checked_likewise(intact):
    remote = "memory://verify/dataset"
    for path in intact.iterdir():
        files.write_bytes(files.join(remote, path.name), path.read_bytes())
    assert verify_dataset(remote) == []

    content = bytearray((intact / SHARD).read_bytes())
    content[len(content) // 2] ^= 1
    files.write_bytes(files.join(remote, SHARD), bytes(content))
    assert files_of(verify_dataset(remote)) == {SHARD}
    files.remove_tree(remote)


def test_the_cache_of_decoded_images_is_no_foreign_file(dataset):
    (dataset / "decoded").mkdir()
    (dataset / "decoded" / "images.npy").write_bytes(b"x")

    assert verify_dataset(dataset) == []


def test_progress_tells_the_images_done(intact):
    told: list[int] = []
    verify_dataset(intact, progress=told.append)

    assert told == sorted(told)
    assert told[-1] == 24


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_of_a_shard_is_found(intact, tmp_path_factory, data):
    dataset = tmp_path_factory.mktemp("flipped") / "dataset"
    shutil.copytree(intact, dataset)
    path = dataset / data.draw(st.sampled_from(sorted(p.name for p in dataset.glob("*.tfrecord"))))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    findings = verify_dataset(dataset)

    assert files_of(findings) == {path.name}
    # The checksum of the file, and the one record; all the others are still found to be right.
    assert any("sha256" in problem for problem in problems(findings, path.name))
    assert len(findings) <= 3


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_of_another_file_is_found(intact, tmp_path_factory, data):
    dataset = tmp_path_factory.mktemp("flipped") / "dataset"
    shutil.copytree(intact, dataset)
    names = sorted(p.name for p in dataset.iterdir() if p.suffix != ".tfrecord")
    path = dataset / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    assert path.name in files_of(verify_dataset(dataset))


@pytest.mark.parametrize("kept", [0, 1, 11, 12, 100, -1, -5])
def test_a_cut_shard_is_found(dataset, kept):
    content = (dataset / SHARD).read_bytes()
    (dataset / SHARD).write_bytes(content[:kept])

    findings = verify_dataset(dataset)

    assert SHARD in files_of(findings)
    assert f"size in bytes: expected {len(content)}, found" in problems(findings, SHARD)[-2] or any(
        "size in bytes" in problem for problem in problems(findings, SHARD)
    )


def test_bytes_after_the_last_record_are_found(dataset):
    with (dataset / SHARD).open("ab") as file:
        file.write(b"\0" * 20)
    accept(dataset, SHARD)

    assert files_of(verify_dataset(dataset)) == {SHARD}


def test_a_missing_shard_is_found_and_the_others_are_still_checked(dataset):
    (dataset / SHARD).unlink()
    other = dataset / "test-00001-of-00002.tfrecord"
    other.write_bytes(other.read_bytes()[:-1])

    findings = verify_dataset(dataset)

    assert "the manifest lists this file, and it is missing" in problems(findings, SHARD)
    assert files_of(findings) == {SHARD, other.name}


def test_swapped_shards_are_found(dataset):
    first, second = dataset / SHARD, dataset / "train-00001-of-00002.tfrecord"
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    for path in (first, second):
        accept(dataset, path.name)

    findings = verify_dataset(dataset)

    assert {first.name, second.name} <= files_of(findings)
    assert any("not in order" in problem for problem in problems(findings, second.name))


def test_swapped_records_are_found(dataset):
    one, other, *rest = records_of(dataset / SHARD)
    (dataset / SHARD).write_bytes(b"".join(map(frame, (other, one, *rest))))
    accept(dataset, SHARD)

    assert any("not in order" in each for each in problems(verify_dataset(dataset), SHARD))


def test_a_damaged_length_costs_one_record_alone(dataset):
    content = bytearray((dataset / SHARD).read_bytes())
    content[0] ^= 1
    (dataset / SHARD).write_bytes(content)

    findings = verify_dataset(dataset)

    (length, _) = problems(findings, SHARD)
    assert "the checksum of its length does not hold" in length
    assert "'folder/" in length


def test_another_image_under_right_checksums_is_found(dataset):
    first, *rest = records_of(dataset / SHARD)
    key = min(
        (image for image in entries() if image["split"] == "train"), key=lambda i: order(i["key"])
    )
    replaced = record_schema.serialize(key["key"], encode(picture(99)), key["label"], ())
    assert replaced != first
    (dataset / SHARD).write_bytes(b"".join(map(frame, (replaced, *rest))))
    accept(dataset, SHARD)

    found = " ".join(problems(verify_dataset(dataset), SHARD))

    for column in ("stored_sha256", "pixel_digest", "sums", "squares"):
        assert f"{key['key']!r}: {column} is" in found


def test_a_foreign_file_is_found(dataset):
    (dataset / "notes.txt").write_text("mine")

    (finding,) = verify_dataset(dataset)

    assert finding == Finding("notes.txt", "the manifest does not list this file")


def test_an_edited_manifest_is_found_and_what_was_edited(dataset):
    path = dataset / MANIFEST_FILE
    content = json.loads(path.read_text())
    content["splits"]["train"]["images"] += 1
    path.write_text(json.dumps(content))

    found = problems(verify_dataset(dataset), MANIFEST_FILE)

    assert any("is damaged or was edited" in problem for problem in found)
    assert "images of train: expected 18, found 19" in found


def set_first(mapping, amount):
    name = next(iter(mapping))
    mapping[name] += amount


CHANGES = {
    "images": lambda c: c["splits"]["train"].update(images=17),
    "label": lambda c: set_first(c["splits"]["train"]["labels"], 1),
    "unlabelled": lambda c: c["splits"]["test"].update(unlabelled=9),
    "read": lambda c: c["counts"].update(read=26),
    "written": lambda c: c["counts"].update(written=25, read=26),
    "rejected": lambda c: c["counts"].update(rejected=2, read=26),
    "reasons": lambda c: c["counts"].update(reasons={"too small": 1}),
    "repairs": lambda c: c["counts"].update(repairs={"turned upright": 1}),
    "duplicates": lambda c: c["duplicates"].update(removed_within=1),
    "sizes": lambda c: c.update(image_sizes={"6x5": 23, "5x6": 1}),
    "formats": lambda c: c.update(formats={"JPEG": 24}),
    "channels": lambda c: c.update(channels=1),
    "mean": lambda c: c["statistics"]["mean"].__setitem__(0, 0.5),
    "std": lambda c: c["statistics"]["std"].__setitem__(2, 0.25),
    "fewer means": lambda c: c["statistics"]["mean"].pop(),
    "statistics of": lambda c: c["statistics"].update(splits=["test"]),
    "class names": lambda c: c.update(class_names=["dog", "cat"]),
    "a class more": lambda c: c.update(class_names=["cat", "dog", "eel"]),
    "a class twice": lambda c: c.update(class_names=["cat", "cat"]),
    "a file twice": lambda c: c["files"].append(c["files"][0]),
    "shard images": lambda c: c["splits"]["train"]["shards"][0].update(images=8),
    "shard checksum": lambda c: c["splits"]["train"]["shards"][0].update(sha256="0" * 64),
    "shard blocks": lambda c: c["splits"]["train"]["shards"][0].update(blocks=[1]),
    "shard name": lambda c: c["splits"]["train"]["shards"][0].update(file="../x.tfrecord"),
    "shards turned round": lambda c: c["splits"]["train"]["shards"].reverse(),
    "a shard less": lambda c: c["splits"]["train"]["shards"].pop(),
    "raw": lambda c: c.update(raw=True),
    "weighted": lambda c: c.update(weighted=True),
    "latents": lambda c: c.update(latent_names=["x"]),
    "table's name": lambda c: c["images"].update(file=SHARD),
    "rejects not listed": lambda c: c.update(
        files=[f for f in c["files"] if f["file"] != REJECTS_FILE]
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_says_what_is_not_is_found(dataset, name):
    edit_manifest(dataset, CHANGES[name])

    assert verify_dataset(dataset)


def test_a_wrong_count_names_class_and_split(dataset):
    edit_manifest(dataset, lambda content: content["splits"]["test"]["labels"].update(cat=7))

    assert problems(verify_dataset(dataset), MANIFEST_FILE) == [
        "images of 'cat' in test: expected 6, found 7"
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format_version": 1}', '{"format_version": 2}']
)
def test_a_manifest_that_is_none_is_the_only_finding(dataset, content):
    (dataset / MANIFEST_FILE).write_text(content)

    assert files_of(verify_dataset(dataset)) == {MANIFEST_FILE}


def test_a_folder_without_a_manifest_is_no_dataset(tmp_path):
    assert files_of(verify_dataset(tmp_path)) == {MANIFEST_FILE}


def test_the_datasets_in_a_folder_of_them_are_named(tmp_path):
    for name in ("pets", "birds"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST_FILE).touch()
    (tmp_path / "notes.txt").touch()
    (finding,) = verify_dataset(tmp_path)
    assert finding.problem.endswith("verify one of those in it: birds, pets")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such dataset folder: .*nowhere"):
        verify_dataset(tmp_path / "nowhere")


COLUMNS = {
    "key": lambda values: ["other", *values[1:]],
    "split": lambda values: ["validation", *values[1:]],
    "shard": lambda values: [5, *values[1:]],
    "offset": lambda values: [values[0] + 1, *values[1:]],
    "length": lambda values: [values[0] + 1, *values[1:]],
    "label": lambda values: [0 if values[0] else 1, *values[1:]],
    "latents": lambda values: [[1.0], *values[1:]],
    "stored_sha256": lambda values: [b"0" * 32, *values[1:]],
    "pixel_digest": lambda values: [b"0" * 16, *values[1:]],
    "format": lambda values: ["JPEG", *values[1:]],
    "repair": lambda values: ["reduced", *values[1:]],
    "height": lambda values: [values[0] + 1, *values[1:]],
    "width": lambda values: [values[0] + 1, *values[1:]],
    "channels": lambda values: [1, *values[1:]],
    "stored_bytes": lambda values: [values[0] + 1, *values[1:]],
    "sums": lambda values: [[1, 2, 3], *values[1:]],
    "squares": lambda values: [[1, 2], *values[1:]],
}


@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_table_is_found(dataset, column):
    edit_index(dataset, column, COLUMNS[column])

    assert IMAGES_FILE in files_of(verify_dataset(dataset))


@pytest.mark.parametrize("column", COLUMNS)
def test_an_edited_table_is_found_where_its_checksum_was_edited_too(dataset, column):
    edit_index(dataset, column, COLUMNS[column])
    accept(dataset, IMAGES_FILE)

    found = verify_dataset(dataset)

    assert found
    if column not in ("offset", "format", "repair"):
        assert any(f"{column} is" in finding.problem for finding in found)


def test_a_table_that_cannot_be_read_leaves_the_records_to_be_checked(dataset):
    (dataset / IMAGES_FILE).write_bytes(b"PAR1 and no more")
    content = bytearray((dataset / SHARD).read_bytes())
    content[-1] ^= 1
    (dataset / SHARD).write_bytes(content)

    found = verify_dataset(dataset)

    assert files_of(found) == {IMAGES_FILE, SHARD}
    assert any("the checksum of its data" in problem for problem in problems(found, SHARD))


def test_a_key_in_two_splits_is_found(tmp_path):
    dataset = tmp_path / "dataset"
    write_dataset(dataset, [*entries(8, 1), entry("folder/001", "test", 0)], class_names=("cat",))

    (finding,) = verify_dataset(dataset)

    assert "'folder/001': " in finding.problem
    assert "has an image of this key, too" in finding.problem


def test_a_key_twice_in_a_split_is_out_of_order(tmp_path):
    dataset = tmp_path / "dataset"
    write_dataset(dataset, [*entries(8, 1), entry("folder/001", "train", 0)], class_names=("cat",))

    (finding,) = verify_dataset(dataset)

    assert "'folder/001': it is not in order" in finding.problem


def test_a_label_beyond_the_classes_is_found(tmp_path):
    dataset = tmp_path / "dataset"
    write_dataset(dataset, [entry("a", label=0), entry("b", label=7)], shards=1)

    assert any(
        "expected a label from -1 to 1, found 7" in finding.problem
        for finding in verify_dataset(dataset)
    )


def test_findings_of_one_file_are_capped(tmp_path):
    dataset = tmp_path / "dataset"
    images = [entry(f"{n}", label=0) for n in range(150)]
    write_dataset(dataset, images, shards=1)
    name = "train-00000-of-00001.tfrecord"
    content = bytearray((dataset / name).read_bytes())
    table = pq.read_table(dataset / IMAGES_FILE)
    for offset, length in zip(*(table[c].to_pylist() for c in ("offset", "length")), strict=True):
        content[offset + length - FOOTER.size] ^= 1
    (dataset / name).write_bytes(content)

    found = problems(verify_dataset(dataset), name)

    assert len(found) == 101
    assert found[-1] == "there is more, which is not listed"
