"""Bytes that come again every so many bytes: a head's columns, in every way a matrix is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quantised import GROUP, IN, OUT, STORAGES, gptq_symmetric
from safetensors.torch import load_file, save_file
from test_formats import decoder, module, parts, quantised_base
from test_gguf import IDS, decoded, write_gguf
from transformers import AutoModelForCausalLM

from talo_export.checkpoint import copying, hashing, ranges
from talo_export.checkpoint.copying import copy_edited
from talo_export.checkpoint.files import list_files
from talo_export.checkpoint.gguf_files import gguf_anatomy
from talo_export.checkpoint.plan import Edit, plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import holds_fill, verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError
from talo_export.knockout import knockout_of
from talo_export.models.anatomy import Decoder, Heads
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

SEED = torch.Generator().manual_seed(0)


@st.composite
def strided(draw: st.DrawFn) -> tuple[bytes, Edit]:
    """A file, and an edit of parts of rows somewhere in it."""
    every, rows = draw(st.integers(1, 24)), draw(st.integers(0, 8))
    bounds = sorted(draw(st.sets(st.integers(0, every), min_size=2, max_size=6)))
    pieces = tuple((a, b - a) for a, b in zip(bounds[::2], bounds[1::2], strict=False))
    before, after = draw(st.binary(max_size=9)), draw(st.binary(max_size=9))
    nbytes = every * rows
    content = before + draw(st.binary(min_size=nbytes, max_size=nbytes)) + after
    edit = Edit("f", "t", "U8", (nbytes,), len(before), nbytes, b"\x07", (), every, pieces)
    return content, edit


def expected(content: bytes, edit: Edit) -> bytes:
    changed = bytearray(content)
    assert edit.every
    for i in range(edit.nbytes):
        if any(first <= i % edit.every < first + size for first, size in edit.parts):
            changed[edit.offset + i] = 7
    return bytes(changed)


@given(given=strided(), chunk=st.integers(1, 40))
@settings(max_examples=120, suppress_health_check=list(HealthCheck))
def test_in_pieces_of_any_size_copy_hash_and_check_mean_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[bytes, Edit], chunk: int
) -> None:
    content, edit = given
    wanted = expected(content, edit)
    source, target = tmp_path / "f", tmp_path / "out"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    monkeypatch.setattr(copying, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(ranges, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(hashing, "HASHED_BYTES", chunk)
    (file,) = [each for each in list_files(tmp_path) if each.name == "f"]
    assert edit.fits
    copied = copy_edited(file, target, [edit])
    assert target.read_bytes() == wanted
    assert copied.sha256 == hashlib.sha256(content).hexdigest()
    assert copied.sha256_edited == hashlib.sha256(wanted).hexdigest()
    assert edit.overwritten == sum(length for _, length in edit.pieces(0, edit.nbytes))
    assert holds_fill(target, edit, source)
    for i in range(edit.offset, edit.end):
        # Any changed byte is noticed: one of the fill at once, one beside it against the base.
        target.write_bytes(wanted[:i] + bytes([wanted[i] ^ 1]) + wanted[i + 1 :])
        filled = any(a <= i - edit.offset < a + n for a, n in edit.pieces(0, edit.nbytes))
        assert holds_fill(target, edit) is not filled
        assert not holds_fill(target, edit, source)


@pytest.mark.parametrize(
    "changes",
    [{"every": None}, {"every": 5}, {"every": 0}, {"parts": ()}, {"parts": ((4, 3),)},
     {"parts": ((2, 2), (0, 1))}, {"parts": ((0, 3), (2, 2))}, {"parts": ((1, 0),)},
     {"pattern": b""}, {"pattern": b"ab"}, {"runs": (6,)}],
    ids=str,
)  # fmt: skip
def test_parts_that_do_not_fit_are_no_edit(changes: dict[str, object]) -> None:
    sound = Edit("f", "t", "U8", (12,), 0, 12, b"\x00", (), 6, ((0, 2), (3, 1)))
    assert sound.fits
    assert not replace(sound, **changes).fits  # type: ignore[arg-type]


def with_heads(heads: int, suffix: str = ".weight", axis: int = 1, of: int = IN) -> Decoder:
    layers = []
    for layer in decoder(suffix).layers:
        (mixer,) = layer.mixers
        runs = tuple((head, of // heads) for head in range(heads))
        known = Heads(mixer.output[0], axis, runs)
        layers.append(replace(layer, mixers=(replace(mixer, heads=known),)))
    return Decoder("model.layers", tuple(layers))


@given(
    heads=st.integers(1, 6),
    size=st.integers(1, 5),
    out=st.integers(1, 7),
    axis=st.sampled_from([0, 1]),
    cut=st.sets(st.integers(0, 5), min_size=1),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_exactly_the_columns_of_a_plain_matrix_become_zero_and_come_back(
    tmp_path_factory: pytest.TempPathFactory, heads: int, size: int, out: int, axis: int,
    cut: set[int], dtype: torch.dtype,
) -> None:  # fmt: skip
    chosen = sorted({head % heads for head in cut})
    folder = tmp_path_factory.mktemp("plain")
    shape = (out, heads * size) if axis else (heads * size, out)
    tensors = {module(k, "o_proj") + ".weight": torch.rand(shape).add(1).to(dtype) for k in (0, 1)}
    (folder / "base").mkdir()
    save_file(tensors, folder / "base" / "model.safetensors")
    anatomy = with_heads(heads, axis=axis, of=heads * size)
    plan = plan_export(folder / "base", knockout_of(heads={1: chosen}), anatomy)
    write_export(plan, folder / "out", base="b", keep_undo=True)
    after = load_file(folder / "out" / "model.safetensors")
    wanted = {name: tensor.clone() for name, tensor in tensors.items()}
    for head in chosen:
        wanted[module(1, "o_proj") + ".weight"].narrow(axis, head * size, size).zero_()
    assert all(torch.equal(after[name], tensor) for name, tensor in wanted.items())
    assert plan.bytes_total == len(chosen) * size * out * dtype.itemsize
    undo_export(folder / "out", folder / "back")
    name = "model.safetensors"
    assert (folder / "back" / name).read_bytes() == (folder / "base" / name).read_bytes()


def cut_heads(base: Path, out: Path, heads: int, cut: Sequence[int], suffix: str) -> None:
    plan = plan_export(base, knockout_of(heads={1: cut}), with_heads(heads, suffix))
    write_export(plan, out, base="base")


@pytest.mark.parametrize("heads", [IN // GROUP, 2 * IN // GROUP])
@pytest.mark.parametrize("name", STORAGES)
def test_a_heads_columns_decode_to_zero_and_no_other_or_are_refused_by_name(
    tmp_path: Path, name: str, heads: int
) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    if refusal := REFUSED.get((name, heads)):
        with pytest.raises(TaloError, match=f"{refusal}, in which no one byte stands for zero"):
            cut_heads(base, tmp_path / "out", heads, [1], storage.suffix)
        assert not (tmp_path / "out").exists()
        return
    cut_heads(base, tmp_path / "out", heads, [1], storage.suffix)
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    for layer in range(2):
        for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
            old = storage.decode(parts(before, module(layer, projection)))
            new = storage.decode(parts(after, module(layer, projection)))
            wanted = old.clone()
            if (layer, projection) == (1, "o_proj"):
                wanted[:, IN // heads : 2 * IN // heads] = 0
            assert torch.equal(new, wanted)
            assert old.shape == (OUT, IN)
    assert after[module(1, "o_proj") + ".bias"].all()
    assert verify_files(tmp_path / "out", base).ok


REFUSED = {
    ("gptq", 4): "GPTQ with zero points, scales shared by several heads",
    ("awq", 4): "AWQ with zero points, scales shared by several heads",
    (
        "pack-quantized asymmetric",
        4,
    ): "pack-quantized with zero points, scales shared by several heads",
    ("int8", 2): "int8 with zero points",
    ("int8", 4): "int8 with zero points",
}
"""Storage and number of heads: where each row of codes has a zero of its own."""


@pytest.mark.parametrize(
    ("name", "changes", "refusal"),
    [
        ("gptq", {".g_idx": torch.arange(IN).remainder(2).int()}, "in another order"),
        ("gptq_v2 act-order", {".qzeros": gptq_symmetric(7)(SEED)[".qzeros"]}, "zero points"),
        ("gptq", {".qweight": torch.zeros(IN, IN, dtype=torch.int32)}, "layout"),
        ("nvfp4", {".weight_packed": torch.zeros(2, OUT, IN, dtype=torch.uint8)}, "shape"),
    ],
)
def test_heads_are_refused_where_it_is_not_sure_which_bytes_are_theirs(
    tmp_path: Path, name: str, changes: dict[str, torch.Tensor], refusal: str
) -> None:
    base = quantised_base(tmp_path / "base", STORAGES[name])
    tensors = load_file(base / "model.safetensors")
    tensors |= {module(1, "o_proj") + part: tensor for part, tensor in changes.items()}
    save_file(tensors, base / "model.safetensors")
    with pytest.raises(TaloError, match=refusal):
        cut_heads(base, tmp_path / "out", 2, [1], ".weight")


@pytest.mark.parametrize("declared", [{"version": "GEMV"}, {"format": "gemv_fast"}], ids=str)
def test_heads_are_refused_where_the_rows_of_codes_are_outputs(
    tmp_path: Path, declared: dict[str, str]
) -> None:
    storage = replace(STORAGES["awq"], declared={"quant_method": "awq"} | declared)
    base = quantised_base(tmp_path / "base", storage)
    with pytest.raises(TaloError, match="AWQ in the layout 'gemv"):
        cut_heads(base, tmp_path / "out", 2, [1], ".weight")


def test_of_a_gguf_file_the_blocks_of_a_head_decode_to_zero_as_stock_loading_agrees(
    tmp_path: Path,
) -> None:
    base, knockout = write_gguf(tmp_path / "base.gguf"), knockout_of(heads={1: (0, 3)})
    write_export(plan_export(base, knockout, gguf_anatomy(base)), tmp_path / "out", base="base")
    before, after = decoded(base), decoded(tmp_path / "out" / "base.gguf")
    for name, values in before.items():
        wanted = values.copy()
        if name == "blk.1.attn_output.weight":
            wanted = wanted.reshape(256, 256)
            wanted[:, :64] = wanted[:, 192:] = 0
        assert np.array_equal(after[name].reshape(wanted.shape), wanted)

    def load(folder: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(folder, gguf_file="base.gguf").eval()

    model = load(tmp_path)
    with torch.no_grad(), knocked_out(model, find_decoder(model), knockout):
        live = model(IDS).logits
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "out")(IDS).logits, live)


def test_gguf_blocks_that_span_heads_are_refused(tmp_path: Path) -> None:
    base = write_gguf(tmp_path / "base.gguf", GGMLQuantizationType.Q4_K)
    with pytest.raises(TaloError, match="Q4_K, 256 inputs together"):
        plan_export(base, knockout_of(heads={1: (0,)}), gguf_anatomy(base))
