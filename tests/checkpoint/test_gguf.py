"""GGUF files: the layer's blocks decode to zero, everything else stays, stock loading agrees."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GgufConfig

from talo_export.checkpoint.gguf_files import block_of, gguf_anatomy
from talo_export.checkpoint.gguf_header import read_gguf
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.commands import export, inspect, undo, verify
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out
from talo_export.requests.checkpoints import (
    ExportRequest,
    InspectRequest,
    UndoRequest,
    VerifyRequest,
)

Q = GGMLQuantizationType
HIDDEN, LAYERS, HEADS, VOCABULARY = 256, 2, 4, 64
IDS = torch.tensor([[3, 9, 27, 17, 51, 25]])


def decodable() -> list[Q]:
    found = []
    for kind in Q:
        try:
            gguf.quants.dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8), kind)
        except NotImplementedError:
            continue
        found.append(kind)
    return found


def write_gguf(path: Path, kind: Q = Q.Q8_0, **fields: int) -> Path:
    """A tiny Llama: random blocks of `kind` in the projections, F32 elsewhere."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_token_list([f"t{i}" for i in range(VOCABULARY)])
    for key, value in fields.items():
        writer.add_uint32(key.replace("__", "."), value)

    def plain(name: str, *shape: int) -> None:
        values = random.standard_normal(shape) / np.sqrt(shape[-1])
        writer.add_tensor(name, values.astype(np.float32))

    def blocks(name: str) -> None:
        values = random.standard_normal((HIDDEN, HIDDEN)).astype(np.float32) / 16
        try:
            data = gguf.quants.quantize(values, kind)
        except NotImplementedError:
            shape = gguf.quant_shape_to_byte_shape((HIDDEN, HIDDEN), kind)
            data = random.integers(1, 60, shape, dtype=np.uint8)
        writer.add_tensor(name, data, raw_dtype=kind)

    plain("token_embd.weight", VOCABULARY, HIDDEN)
    plain("output.weight", VOCABULARY, HIDDEN)
    plain("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            blocks(f"blk.{layer}.{name}.weight")
        for name in ("ffn_gate", "ffn_up", "ffn_down"):
            plain(f"blk.{layer}.{name}.weight", HIDDEN, HIDDEN)
        for name in ("attn_norm", "ffn_norm"):
            plain(f"blk.{layer}.{name}.weight", HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def decoded(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    return {
        name: gguf.quants.dequantize(
            np.frombuffer(raw[entry.offset : entry.end], dtype=np.uint8).reshape(
                -1, GGML_QUANT_SIZES[Q[entry.dtype]][1]
            ),
            Q[entry.dtype],
        )
        for name, entry in read_gguf(path).header.tensors.items()
    }


@pytest.mark.parametrize("kind", decodable(), ids=lambda kind: kind.name)
def test_in_every_block_type_the_layer_decodes_to_zero_and_nothing_else_changes(
    tmp_path: Path, kind: Q
) -> None:
    base = write_gguf(tmp_path / "base.gguf", kind)
    write_export(plan_export(base, Knockout(1), gguf_anatomy(base)), tmp_path / "out", base="base")
    before, after = decoded(base), decoded(tmp_path / "out" / "base.gguf")
    cut = {f"blk.1.{name}.weight" for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    for name in before:
        assert np.any(before[name])
        if name in cut:
            assert not np.any(after[name])
        else:
            assert np.array_equal(before[name], after[name])
    assert verify_files(tmp_path / "out", base).ok


def test_our_reading_of_the_header_is_the_gguf_packages(tiny: Path) -> None:
    ours = read_gguf(tiny).header.tensors
    theirs = gguf.GGUFReader(tiny).tensors
    assert len(ours) == len(theirs)
    for tensor in theirs:
        entry = ours[tensor.name]
        assert (entry.offset, entry.nbytes) == (tensor.data_offset, tensor.n_bytes)
        assert entry.dtype == tensor.tensor_type.name
        assert entry.shape == tuple(tensor.shape.tolist())


def test_stock_loading_of_the_export_gives_the_logits_of_the_live_knockout(
    tiny: Path, tmp_path: Path
) -> None:
    def load(path: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        ).eval()

    write_export(plan_export(tiny, Knockout(1), gguf_anatomy(tiny)), tmp_path / "out", base="b")
    exported, live = load(tmp_path / "out" / "tiny.gguf"), load(tiny)
    with torch.no_grad():
        found, untouched = exported(IDS).logits, live(IDS).logits
        with knocked_out(live, find_decoder(live), Knockout(1)):
            expected = live(IDS).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)


@pytest.mark.parametrize("keep_undo", [False, True])
def test_undo_gives_the_file_back(tiny: Path, tmp_path: Path, keep_undo: bool) -> None:
    plan = plan_export(tiny, Knockout(0, "layer"), gguf_anatomy(tiny))
    write_export(plan, tmp_path / "out", base="b", extra={"README.md": b""}, keep_undo=keep_undo)
    undo_export(tmp_path / "out", tmp_path / "back", base=None if keep_undo else tiny)
    assert (tmp_path / "back" / "tiny.gguf").read_bytes() == tiny.read_bytes()
    assert len(list((tmp_path / "back").iterdir())) == 1


def test_only_the_file_itself_is_copied(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "downloads" / "x.gguf"
    base.parent.mkdir()
    base.write_bytes(tiny.read_bytes())
    (base.parent / "private.txt").write_text("mine")
    out = base.parent / "out"
    write_export(plan_export(base, Knockout(0), gguf_anatomy(base)), out, base="b")
    assert sorted(path.name for path in out.iterdir()) == ["talo_export.json", "x.gguf"]


def test_layers_that_share_keys_and_values_offer_the_output_projection(tmp_path: Path) -> None:
    base = write_gguf(tmp_path / "x.gguf", llama__attention__shared_kv_layers=1)
    with pytest.raises(UsageError, match="o_proj"):
        plan_export(base, Knockout(0), gguf_anatomy(base))
    plan = plan_export(base, Knockout(0, "o_proj"), gguf_anatomy(base))
    assert [edit.tensor for edit in plan.edits] == ["blk.0.attn_output.weight"]


def test_one_part_of_a_split_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="merge"):
        gguf_anatomy(write_gguf(tmp_path / "x.gguf", split__count=3))


def test_other_fills_do_not_exist(tiny: Path) -> None:
    with pytest.raises(UsageError, match="zero"):
        plan_export(tiny, Knockout(0, fill="mean"), gguf_anatomy(tiny))


def test_a_type_without_a_public_decoder_is_refused() -> None:
    with pytest.raises(TaloError, match="Q8_K"):
        block_of("Q8_K")


@given(st.data())
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
def test_damage_to_the_header_is_refused_or_stays_inside_the_file(
    tiny: Path, tmp_path: Path, data: st.DataObject
) -> None:
    whole = tiny.read_bytes()
    start = read_gguf(tiny).header.data_start
    damaged = bytearray(whole[:start])
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, start - 8))
        damaged[position : position + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path = tmp_path / "x.gguf"
    path.write_bytes(bytes(damaged) + whole[start:])
    try:
        header = read_gguf(path).header
    except TaloError:
        return
    position = 0
    for entry in header.tensors.values():
        assert position <= entry.offset <= entry.end <= path.stat().st_size
        position = entry.end


@given(st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_any_truncation_is_refused(tiny: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = tiny.read_bytes()
    path = tmp_path / "x.gguf"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 33))])
    with pytest.raises(TaloError):
        read_gguf(path)


def counted(kind: int, value: bytes = b"", *, tensors: int = 0, fields: int = 1) -> bytes:
    """A header with one field `a` of this type and value."""
    field = struct.pack("<Q1sI", 1, b"a", kind) + value
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, fields) + field


def array(kind: int, count: int) -> bytes:
    return struct.pack("<IQ", kind, count)


MANY = 1 << 62


@pytest.mark.parametrize(
    "header",
    [
        counted(4, b"1234", tensors=MANY),
        counted(4, b"1234", fields=MANY),
        counted(8, struct.pack("<Q", MANY)),
        counted(8, struct.pack("<Q", 1 << 30)),
        counted(9, array(0, MANY)),
        counted(9, array(0, 1 << 30), fields=MANY),
        counted(9, array(8, MANY)),
        counted(9, array(9, MANY)),
        counted(9, array(9, 1) * 5000),
        counted(77),
        counted(4, b"1234" + struct.pack("<Q1sI", 1, b"t", 1 << 31), tensors=1),
    ],
)
def test_a_count_that_lies_costs_neither_memory_nor_time(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.gguf"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(8 << 30)  # A sparse file: zeros are empty texts and empty arrays.
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(TaloError, match="not a sound GGUF file"):
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
        assert time.process_time() - started < 60
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("command", ["inspect", "export"])
def test_without_the_gguf_package_a_sentence_says_what_to_install(tiny: Path, command: str) -> None:
    options = ["--layer", "0", "--dry-run", "--model"] if command == "export" else []
    arguments = ["talo-export", command, *options, str(tiny)]
    script = (
        "import sys; sys.modules['gguf'] = None\n"
        f"sys.argv = {arguments!r}\n"
        "from talo_export.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'talo-export[gguf]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_commands_take_the_file_that_was_exported(tiny: Path, tmp_path: Path) -> None:
    document = inspect.run(InspectRequest(str(tiny))).to_json()
    assert (document["architecture"], len(document["layers"])) == ("llama", LAYERS)
    assert document["layers"][0]["knockout"] == {"attention": None, "o_proj": None}
    export.run(ExportRequest(model=str(tiny), layer=1, out=tmp_path / "out"))
    undo.run(UndoRequest(tmp_path / "out", out=tmp_path / "back"))
    assert (tmp_path / "back" / tiny.name).read_bytes() == tiny.read_bytes()
    report = verify.run(VerifyRequest(tmp_path / "out")).to_json()
    assert report["ok"], report["problems"]
    assert report["tensors"]["filled"]
