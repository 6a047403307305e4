"""The members of a .zip, as Python's own reader finds them."""

import io
import zipfile
import zlib
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.data.sources.access import zip_members as zips

END_MARK = b"PK\x05\x06"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9).filter(
    lambda name: "\\" not in name and not name.endswith("/")
)


def written(files, comment=b"", before=b"", **options):
    file = io.BytesIO(before)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a", **options) as archive:
        archive.comment = comment
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def as_zipfile_finds(file):
    with zipfile.ZipFile(file) as archive:
        return [
            (info.filename, info.file_size, info.CRC, archive.read(info))
            for info in archive.infolist()
            if not info.is_dir()
        ]


def as_found(file):
    found = []
    for member in zips.members(file):
        content = zips.read_member(file, member.location)
        found.append((member.name, member.size, member.crc, content))
    return found


@settings(max_examples=50)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=300), max_size=5),
    # Of a comment that has the mark of its record, `zipfile` makes something else.
    comment=st.binary(max_size=40).filter(lambda comment: END_MARK not in comment),
    before=st.binary(max_size=40),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]),
)
def test_members_are_those_that_zipfile_finds(files, comment, before, method):
    file = written(files, comment, before, compression=method)
    assert zips.is_zip(file)
    assert as_found(file) == as_zipfile_finds(file)


def test_a_comment_may_look_like_the_end():
    file = written({"a.jpg": b"1"}, comment=b"see " + END_MARK + bytes(range(18)))
    assert [content for *_, content in as_found(file)] == [b"1"]


def test_folders_are_left_out():
    file = written({"a/": b"", "a/1.jpg": b"1"})
    assert [member.name for member in zips.members(file)] == ["a/1.jpg"]


def test_large_archives_are_read():
    """Archives above these limits are written as those above 4 GB are."""
    files = {f"{i}.jpg": bytes([i]) * (20 + i) for i in range(30)}
    with mock.patch("zipfile.ZIP64_LIMIT", 25), mock.patch("zipfile.ZIP_FILECOUNT_LIMIT", 7):
        file = written(files, b"with a comment", b"and something before")
        expected = as_zipfile_finds(file)
    assert b"PK\x06\x06" in file.getvalue()
    assert as_found(file) == expected
    assert {name: content for name, _, _, content in expected} == files


def test_a_member_written_as_a_stream_is_read():
    class Unseekable(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, content):
            self.content += bytes(content)
            return len(content)

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"abc" * 50)
    assert as_found(io.BytesIO(stream.content)) == [
        ("a.jpg", 150, zlib.crc32(b"abc" * 50), b"abc" * 50)
    ]


@given(st.data())
def test_damage_is_noticed_or_harmless(data):
    """Of a file with one changed byte, every member is read as it was or not at all."""
    files = {"a.jpg": b"first content", "b.jpg": b"second, and another"}
    content = bytearray(written(files, compression=zipfile.ZIP_DEFLATED).getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file = io.BytesIO(content)
    try:
        for member in zips.members(file):
            try:
                found = zips.read_member(file, member.location)
            except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
                continue
            assert found in files.values()
    except zipfile.BadZipFile:
        pass


@pytest.mark.parametrize("content", [b"", END_MARK, b"\0" * 100, END_MARK + b"\xff" * 18])
def test_what_is_no_zip_is_refused(content):
    assert not zips.is_zip(io.BytesIO(content))
    with pytest.raises(zipfile.BadZipFile, match="no end"):
        list(zips.members(io.BytesIO(content)))
