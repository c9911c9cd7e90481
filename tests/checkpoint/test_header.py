"""A header is read as the library reads it, or refused in one sentence."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_files import raw_file, tensor
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from talo_export.checkpoint.header import DTYPE_BITS, MAX_HEADER_BYTES, read_header
from talo_export.errors import TaloError

SHARED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def library_accepts(path: Path) -> bool:
    try:
        with safe_open(path, "np") as file:
            list(file.keys())
    except SafetensorError:
        return False
    return True


def refusal(path: Path) -> str | None:
    """The sentence we refuse a file with, None where we accept it."""
    try:
        read_header(path)
    except TaloError as error:
        return str(error)
    return None


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(["float32", "float16", "int8", "uint8", "int64", "bool"]),
            st.lists(st.integers(0, 4), max_size=3),
        ),
        min_size=1,
        max_size=5,
    ),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
@SHARED
def test_what_the_library_writes_is_read_back_exactly(
    tmp_path: Path, specs: dict[str, tuple[str, list[int]]], metadata: dict[str, str]
) -> None:
    arrays = {
        name: np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
        for name, (dtype, shape) in specs.items()
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(arrays, metadata=metadata))
    header = read_header(path)
    raw = path.read_bytes()
    assert dict(header.metadata) == metadata
    assert set(header.tensors) == set(arrays)
    for name, entry in header.tensors.items():
        assert entry.shape == arrays[name].shape
        assert raw[entry.offset : entry.end] == arrays[name].tobytes()


NUMBERS = st.one_of(
    st.integers(-2, 20), st.sampled_from([2**31, 2**63, 2**64, 10**400, -(10**30), 1.5, True, None])
)


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "__metadata__"]),
        st.one_of(
            st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from([*DTYPE_BITS, "F7", "", 3]),
                    "shape": st.lists(NUMBERS, max_size=3),
                    "data_offsets": st.lists(NUMBERS, min_size=1, max_size=3),
                }
            ),
            st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
            st.integers(),
        ),
        max_size=3,
    ),
    st.binary(max_size=24),
)
@example({"a": tensor(0, 4), "b": tensor(2, 6)}, b"123456")
@example({"a": tensor(0, 4), "b": tensor(5, 6)}, b"123456")
@example({"a": tensor(0, 6)}, b"123456")
@SHARED
def test_whatever_the_header_says_we_never_accept_what_the_library_refuses(
    tmp_path: Path, header: dict[str, Any], data: bytes
) -> None:
    path = raw_file(tmp_path / "x.safetensors", header, data)
    refused = refusal(path)
    if refused is not None:
        assert str(path) in refused
        assert "\n" not in refused
    else:
        assert library_accepts(path)
        position = read_header(path).data_start
        for entry in read_header(path).tensors.values():
            assert entry.offset == position
            position = entry.end
        assert position == path.stat().st_size


@given(st.binary(max_size=64))
@example(b"")
@example(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
@example((2**63).to_bytes(8, "little") + b"{}")
@SHARED
def test_random_bytes_are_refused_where_the_library_refuses_them(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert refusal(path) is not None or library_accepts(path)


@given(st.data())
@SHARED
def test_any_truncation_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = save({"a": np.arange(6, dtype=np.float32), "b": np.ones(3, dtype=np.int8)})
    path = tmp_path / "x.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert refusal(path) is not None


@pytest.mark.parametrize(
    ("header", "data", "why"),
    [
        (b'{"a": 1, "a": 2}', b"", "twice"),
        (b'{"a": {"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"1", "twice"),
        ({"a": tensor(0, 4), "b": tensor(3, 7)}, b"1234567", "overlaps"),
        ({"a": tensor(0, 4), "b": tensor(0, 4)}, b"1234", "overlaps"),
        ({"a": tensor(0, 4), "b": tensor(5, 7)}, b"1234567", "hole"),
        ({"a": tensor(0, 4)}, b"12345", "belong to none"),
        ({"a": tensor(0, 9)}, b"1234", "outside"),
        ({"a": tensor(-4, 0)}, b"1234", "counts"),
        ({"a": tensor(4, 0, [4])}, b"1234", "outside"),
        ({"a": tensor(0, 4, [5])}, b"1234", "shape asks"),
        ({"a": tensor(0, 4, [2**62, 2**62])}, b"1234", "shape asks"),
        ({"a": tensor(0, 4, [4.0])}, b"1234", "counts"),
        ({"a": tensor(0, 4, dtype="Q4")}, b"1234", "unknown dtype"),
        ({"a": tensor(0, 1, [1], "F4")}, b"1", "shape asks"),
        ({"a": {**tensor(0, 4), "extra": 1}}, b"1234", "exactly"),
        ({"__metadata__": {"a": 1}}, b"", "map of texts"),
        (b"\xff\xfe{}", b"", "UTF-8"),
        (b'{"\xff": 1}', b"", "UTF-8"),
        ({"\ud800": tensor(0, 4)}, b"1234", "Unicode"),
        (b"[]", b"", "object"),
        (b'{"a": NaN}', b"", "JSON"),
        (b"[" * 100_000, b"", "JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", "JSON"),
    ],
)
def test_each_lie_is_refused_by_name(tmp_path: Path, header: Any, data: bytes, why: str) -> None:
    path = raw_file(tmp_path / "x.safetensors", header, data)
    with pytest.raises(TaloError, match=why) as refusal:
        read_header(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("length", [3, 2**20, MAX_HEADER_BYTES + 1, 2**64 - 1])
def test_a_lie_about_the_headers_length_is_refused(tmp_path: Path, length: int) -> None:
    path = raw_file(tmp_path / "x.safetensors", {"a": tensor(0, 4)}, b"1234", length=length)
    with pytest.raises(TaloError):
        read_header(path)


def test_a_pointer_of_git_lfs_is_told_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n")
    with pytest.raises(TaloError, match="git lfs pull"):
        read_header(path)


def test_a_header_of_a_million_tensors_is_refused_before_it_is_read(tmp_path: Path) -> None:
    raw = json.dumps({f"layers.{i}.weight": tensor(i, i + 1) for i in range(1000)}).encode() * 1000
    path = raw_file(tmp_path / "x.safetensors", raw)
    started = time.process_time()
    with pytest.raises(TaloError, match="more than any model's"):
        read_header(path)
    assert time.process_time() - started < 1


def test_unaligned_headers_padding_and_empty_tensors_are_fine(tmp_path: Path) -> None:
    header = {"empty": tensor(3, 3, [0, 7]), "a": tensor(0, 3)}
    raw = json.dumps(header).encode() + b" "
    path = raw_file(tmp_path / "x.safetensors", raw, b"123")
    read = read_header(path)
    assert read.tensors["a"].offset == 8 + len(raw)
    assert read.tensors["empty"].nbytes == 0


def test_offsets_beyond_four_gigabytes_are_absolute_and_exact(tmp_path: Path) -> None:
    size = 5 << 30
    header = {"big": tensor(0, size, [size]), "after": tensor(size, size + 2)}
    path = raw_file(tmp_path / "x.safetensors", header)
    start = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(start + size + 2)  # A sparse file: no disk is used.
    assert read_header(path).tensors["after"].offset == start + size
