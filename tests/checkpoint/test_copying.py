"""Every way of copying gives the same bytes and the same hashes."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talo_export.checkpoint import copying, hashing, ranges
from talo_export.checkpoint.copying import copy_edited
from talo_export.checkpoint.files import BaseFile, list_files
from talo_export.checkpoint.plan import Edit, repeated
from talo_export.errors import TaloError


def edit(offset: int, nbytes: int, pattern: bytes = b"\x00") -> Edit:
    return Edit("f", "t", "U8", (nbytes,), offset, nbytes, pattern)


def listed(path: Path) -> BaseFile:
    return next(file for file in list_files(path.parent) if file.name == path.name)


def expected(content: bytes, edits: list[Edit]) -> bytes:
    changed = bytearray(content)
    for one in edits:
        changed[one.offset : one.end] = one.pattern * (one.nbytes // len(one.pattern))
    return bytes(changed)


@given(
    content=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    pattern=st.binary(min_size=1, max_size=4),
    chunk=st.integers(1, 64),
    way=st.sampled_from(["kernel", "plain loop", "kernel gives up", "reflink"]),
)
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
def test_a_copy_has_exactly_the_edits_and_the_hashes_say_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    cuts: list[int],
    pattern: bytes,
    chunk: int,
    way: str,
) -> None:
    bounds = sorted({cut for cut in cuts if cut <= len(content)})
    edits = [
        edit(a, (b - a) // len(pattern) * len(pattern), pattern)
        for a, b in zip(bounds[::2], bounds[1::2], strict=False)
    ]
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr(copying, "CHUNK_BYTES", chunk)
        patched.setattr(ranges, "CHUNK_BYTES", chunk)
        patched.setattr(hashing, "HASHED_BYTES", chunk)
        patched.setattr(copying, "HASHED_ANYWAY", 100)
        if way == "plain loop":
            patched.delattr(os, "copy_file_range")
        if way == "kernel gives up":
            patched.setattr(os, "copy_file_range", refuse(errno.EXDEV))
        if way == "reflink":
            # Few file systems can: this stands for one that has just shared the blocks.
            patched.setattr(copying, "_reflink", clone)
        copied = copy_edited(listed(source), target, edits)
    after = expected(content, edits)
    assert source.read_bytes() == content
    assert target.read_bytes() == after
    unread = way == "reflink" and not edits and len(content) > 100
    assert copied.sha256 == (None if unread else hashlib.sha256(content).hexdigest())
    assert copied.method == "reflink" or way != "reflink"
    assert copied.sha256_edited == (hashlib.sha256(after).hexdigest() if edits else None)


def test_of_cloned_files_only_the_edited_one_is_read_and_what_precedes_the_edit_but_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(fd: int, buffers: Any, offset: int) -> int:
        read.append(preadv(fd, buffers, offset))
        return read[-1]

    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", counted)
    monkeypatch.setattr(copying, "_reflink", clone)
    monkeypatch.setattr(copying, "HASHED_ANYWAY", 100)
    source = tmp_path / "source"
    source.write_bytes(bytes(range(200)) * 5)
    copy_edited(listed(source), tmp_path / "untouched")
    assert read == []
    copy_edited(listed(source), tmp_path / "edited", [edit(700, 10)])
    assert sum(read) == 700 + 2 * 300
    read.clear()
    hashing.edited_sha256(source, [edit(700, 10)])
    assert sum(read) == 1000


def clone(source: int, target: int) -> bool:
    os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)
    return True


def refuse(number: int) -> Any:
    def copy_file_range(*arguments: Any) -> int:
        raise OSError(number, os.strerror(number))

    return copy_file_range


def test_an_input_error_in_the_kernel_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"x" * 10)
    monkeypatch.setattr(os, "copy_file_range", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        copy_edited(listed(tmp_path / "source"), tmp_path / "target")


def test_a_source_that_changes_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10)
    with pytest.raises(TaloError, match="changed"):
        copy_edited(
            listed(source), tmp_path / "target", progress=lambda step: os.utime(source, ns=(1, 1))
        )


def test_an_existing_target_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        copy_edited(listed(tmp_path / "source"), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"old"


@given(st.binary(min_size=1, max_size=5), st.integers(0, 50), st.integers(0, 50))
def test_a_filling_may_begin_anywhere(pattern: bytes, start: int, length: int) -> None:
    assert repeated(pattern, start, length) == (pattern * 120)[start : start + length]


@given(
    units=st.lists(st.binary(min_size=2, max_size=2), min_size=1, max_size=4),
    counts=st.lists(st.integers(1, 5), min_size=4, max_size=4),
    times=st.integers(1, 3),
    start=st.integers(0, 60),
    length=st.integers(0, 60),
)
def test_several_fills_in_one_tensor_take_turns(
    units: list[bytes], counts: list[int], times: int, start: int, length: int
) -> None:
    whole = b"".join(unit * n for unit, n in zip(units, counts, strict=False)) * times
    runs = tuple(2 * n for n in counts[: len(units)])
    one = Edit("f", "t", "BF16", (len(whole) // 2,), 0, len(whole), b"".join(units), runs)
    assert one.fits
    start = min(start, len(whole))
    length = min(length, len(whole) - start)
    assert one.filling(start, length) == whole[start : start + length]
    assert not replace(one, nbytes=len(whole) + 2).fits or sum(runs) == 2
