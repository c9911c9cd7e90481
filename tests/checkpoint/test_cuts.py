"""Every kind of cut: live = disk = adapter, only planned bytes, undone to the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from proving import make_subject
from tiny_bases import save, tiny_gpt2, tiny_llama, tiny_llava, tiny_neox, tiny_phi3
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.diff import diff_checkpoints
from talo_export.checkpoint.hashing import file_sha256
from talo_export.checkpoint.manifest import MANIFEST, read_manifest
from talo_export.checkpoint.plan import Edit, plan_export
from talo_export.checkpoint.proof import prove_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout, knockout_of
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

IDS = torch.tensor([[3, 9, 27, 17, 51, 25]])
MODELS = {
    "llama": (tiny_llama, {}),
    "sharded": (tiny_llama, {"max_shard_size": "20KB"}),
    "bf16": (lambda: tiny_llama(torch.bfloat16), {}),
    "gpt2": (tiny_gpt2, {}),
    "phi3": (tiny_phi3, {}),
    "neox": (tiny_neox, {}),
    "llava": (tiny_llava, {}),
}
CUTS = {
    "two layers": Knockout(0, also=(1,)),
    "two outputs": Knockout(0, "o_proj", also=(1,)),
    "feed-forward": Knockout(1, "mlp"),
    "two feed-forwards": Knockout(0, "mlp", also=(1,)),
    "a head": Knockout(1, heads=((3,),)),
    "two heads": Knockout(1, heads=((0, 2),)),
    "heads of two layers": Knockout(0, also=(1,), heads=((1, 2), (0,))),
}
EACH = [(name, cut) for name in MODELS for cut in CUTS]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cuts")
    found = {}
    for name, (build, options) in MODELS.items():
        model = build()
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter) / 10)  # Biases that show.
        found[name] = save(model, root / name, **options)
    return found


def load(directory: Path, base: Path) -> PreTrainedModel:
    auto = AutoModelForImageTextToText if base.name == "llava" else AutoModelForCausalLM
    return auto.from_pretrained(directory, dtype="auto").eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def live(base: Path, knockout: Knockout) -> tuple[torch.Tensor, torch.Tensor]:
    """With the knockout and without."""
    model = load(base, base)
    before = logits(model)
    with knocked_out(model, find_decoder(model), knockout):
        return logits(model), before


def exported(base: Path, knockout: Knockout, out: Path, **options: object) -> Path:
    plan = plan_export(base, knockout, checkpoint_anatomy(base))
    write_export(plan, out, base=str(base), **options)  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize(("name", "cut"), EACH)
def test_disk_and_adapter_compute_what_the_live_model_does(
    bases: dict[str, Path], tmp_path: Path, name: str, cut: str
) -> None:
    base, knockout = bases[name], CUTS[cut]
    wanted, before = live(base, knockout)
    assert not torch.equal(wanted, before)
    exported(base, knockout, tmp_path / "out")
    assert torch.equal(logits(load(tmp_path / "out", base)), wanted)
    write_adapter(plan_adapter(base, knockout), tmp_path / "adapter", base=str(base))
    adapted = PeftModel.from_pretrained(load(base, base), tmp_path / "adapter")
    assert torch.equal(logits(adapted), wanted)


def overwritten(edit: Edit) -> Iterator[int]:
    for first, length in edit.pieces(0, edit.nbytes):
        yield from range(edit.offset + first, edit.offset + first + length)


@pytest.mark.parametrize(("name", "cut"), EACH)
def test_only_the_planned_bytes_differ_and_undo_gives_the_same_hashes(
    bases: dict[str, Path], tmp_path: Path, name: str, cut: str
) -> None:
    base, knockout = bases[name], CUTS[cut]
    plan = plan_export(base, knockout, checkpoint_anatomy(base))
    out = exported(base, knockout, tmp_path / "out", keep_undo=True)
    changed = 0
    for file in plan.files:
        before, after = file.source.read_bytes(), (out / file.name).read_bytes()
        differing = {i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y}
        planned = {i for edit in plan.edits_of(file.name) for i in overwritten(edit)}
        assert differing <= planned
        changed += len(differing)
        assert file.name not in {edit.file for edit in plan.edits} or differing
    assert 0 < changed <= plan.bytes_total
    assert verify_files(out, base).ok
    for way, origin in (("kept", None), ("given", base)):
        undo_export(out, tmp_path / way, base=origin)
        for file in plan.files:
            assert file_sha256(tmp_path / way / file.name) == file_sha256(file.source)


def test_a_byte_beside_a_cut_head_that_is_not_the_bases_is_noticed(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["llama"]
    out = exported(base, CUTS["a head"], tmp_path / "out")
    (edit,) = read_manifest(out).edits
    (first, _), *_ = edit.parts
    with (out / edit.file).open("r+b") as file:
        file.seek(edit.offset + first - 1)
        byte = file.read(1)[0]
        file.seek(edit.offset + first - 1)
        file.write(bytes([byte ^ 1]))
    report = verify_files(out, base)
    assert (report.wrong, report.tensors.other) == ((edit.file,), (edit.tensor,))


@pytest.mark.parametrize("cut", CUTS)
def test_a_stock_process_agrees_and_the_manifest_keeps_the_cut(
    bases: dict[str, Path], tmp_path: Path, cut: str
) -> None:
    base, knockout = bases["sharded"], CUTS[cut]
    out = exported(base, knockout, tmp_path / "out")
    assert read_manifest(out).knockout == knockout
    proof = prove_export(out, base, knockout)
    assert proof.problems == ()
    assert proof.max_abs_difference_to_knockout == 0.0


def test_one_layer_is_written_as_ever_and_several_not_so_that_an_old_reader_takes_them_for_one(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    one = json.loads((exported(bases["llama"], Knockout(1), tmp_path / "1") / MANIFEST).read_text())
    assert one["format_version"] == 1
    assert one["knockout"] == {"layer": 1, "scope": "attention", "fill": "zero"}
    both = exported(bases["llama"], Knockout(0, also=(2,)), tmp_path / "2")
    document = json.loads((both / MANIFEST).read_text())
    assert document["format_version"] == 2
    assert document["knockout"] == {"layer": 0, "scope": "attention", "fill": "zero", "also": [2]}
    for lie in ({**document, "format_version": 1}, {**one, "format_version": 2}):
        (both / MANIFEST).write_text(json.dumps(lie))
        with pytest.raises(TaloError, match="format version"):
            read_manifest(both)


def test_an_adapter_of_stacked_experts_is_refused_by_name(tmp_path: Path) -> None:
    make_subject("causal-lm", "mixtral", tmp_path / "base")
    with pytest.raises(TaloError, match=r"down_proj is not a parameter of a linear module"):
        plan_adapter(tmp_path / "base", Knockout(1, "mlp"))


def test_diff_names_both_layers(bases: dict[str, Path], tmp_path: Path) -> None:
    out = exported(bases["llama"], Knockout(0, "mlp", also=(2,)), tmp_path / "out")
    diff = diff_checkpoints(bases["llama"], out)
    assert list(diff.by_module()) == [
        ("model.layers", 0, "mlp.down_proj"), ("model.layers", 2, "mlp.down_proj"),
    ]  # fmt: skip


def test_layers_are_cut_in_any_order_but_are_one_value() -> None:
    assert knockout_of([7, 3, 7]) == Knockout(3, also=(7,))
    with pytest.raises(ValueError, match="7 and 3 do not ascend"):
        Knockout(7, also=(3,))


def test_a_further_layer_that_is_not_there_is_refused(bases: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="layer 9 is out of range"):
        plan_export(bases["llama"], Knockout(0, also=(9,)), checkpoint_anatomy(bases["llama"]))
