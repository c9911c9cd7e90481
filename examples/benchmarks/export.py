"""How fast an export is, and how much memory it takes, against the ways people do it today.

    python examples/benchmarks/export.py                          # 60 MB, a few seconds
    python examples/benchmarks/export.py --gigabytes 13 --command --mergekit MERGEKIT/bin/python

A random bfloat16 Llama checkpoint in four shards is written once; then every contender zeroes the
output projection of one layer, each in a process of its own, with the base dropped from the page
cache before it starts:

- `cp -r`: no edit at all, the floor for a full copy; and `cp -r`, synced to disk; where the file
  system has reflinks, `cp -r` makes them, and `cp -r --reflink=never` is the full copy;
- writing alone: talo-export's copy with overwritten byte ranges, synced to disk, manifest with
  hashes; and the same with hard links for the untouched shards;
- `talo-export export` (with `--command`): all of it, which at first imports torch and transformers
  and finds the layer by tracing the model's code without weights (the second time, with `--link`,
  that is remembered);
- load, edit, `save_file`: the touched shard through safetensors and torch, the rest by `cp`;
- mergekit's passthrough with scale 0 (given the Python of an environment that has mergekit).

Reported are seconds, peak resident memory, and how much of it came after the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talo_export.checkpoint.copying import can_reflink
from talo_export.checkpoint.diff import diff_checkpoints

SHARDS = 4
BLOCK_BYTES = 32 << 20


@dataclass(frozen=True)
class Shape:
    """A Llama of about the size asked for."""

    hidden: int
    intermediate: int
    vocabulary: int
    layers: int

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape, in the order of the layers."""
        h, i, v = self.hidden, self.intermediate, self.vocabulary
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (v, h)}
        for layer in range(self.layers):
            at = f"model.layers.{layer}"
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                found[f"{at}.self_attn.{name}.weight"] = (h, h)
            found[f"{at}.mlp.gate_proj.weight"] = (i, h)
            found[f"{at}.mlp.up_proj.weight"] = (i, h)
            found[f"{at}.mlp.down_proj.weight"] = (h, i)
            found[f"{at}.input_layernorm.weight"] = (h,)
            found[f"{at}.post_attention_layernorm.weight"] = (h,)
        return found | {"model.norm.weight": (h,), "lm_head.weight": (v, h)}


@dataclass(frozen=True)
class Measurement:
    """One contender's run."""

    name: str
    seconds: float
    peak_bytes: int
    above_imports_bytes: int | None


def shape_for(gigabytes: float) -> Shape:
    """A Llama whose bfloat16 weights take about `gigabytes`, with layers as wide as is usual."""
    hidden = next(
        h for least, h in ((8, 4096), (2, 2048), (0.3, 1024), (0, 256)) if gigabytes >= least
    )
    intermediate, vocabulary = hidden * 43 // 16, 32000 if hidden >= 1024 else 4096
    rest = gigabytes * 1e9 / 2 - 2 * vocabulary * hidden
    layer = 4 * hidden**2 + 3 * hidden * intermediate
    return Shape(hidden, intermediate, vocabulary, max(4, round(rest / layer)))


def write_base(directory: Path, shape: Shape) -> None:
    """Shards of random finite numbers, header and index as an uploader writes them."""
    directory.mkdir()
    block = (
        np.random.default_rng(0).integers(0, 0x3F80, BLOCK_BYTES // 2, dtype=np.uint16).tobytes()
    )
    tensors = list(shape.tensors.items())
    per_shard = -(-len(tensors) // SHARDS)
    weight_map = {}
    for shard in range(SHARDS):
        name = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        position = 0
        for tensor, size in tensors[shard * per_shard : (shard + 1) * per_shard]:
            weight_map[tensor] = name
            end = position + 2 * int(np.prod(size))
            header[tensor] = {"dtype": "BF16", "shape": size, "data_offsets": [position, end]}
            position = end
        raw = json.dumps(header).encode()
        with (directory / name).open("wb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            while position:
                file.write(block[: min(position, BLOCK_BYTES)])
                position -= min(position, BLOCK_BYTES)
            file.flush()
            os.fsync(file.fileno())
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.hidden // 64,
        "num_key_value_heads": shape.hidden // 64, "vocab_size": shape.vocabulary,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    }))  # fmt: skip


TALO = """
import sys
from pathlib import Path
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer
base, out, layer, layers, link = *map(Path, sys.argv[1:3]), *map(int, sys.argv[3:])
path = "model.layers.{}.self_attn"
anatomy = Decoder("model.layers", tuple(
    Layer(k, f"model.layers.{k}", (Mixer("self-attention", path.format(k),
          (path.format(k) + ".o_proj.weight",)),)) for k in range(layers)))
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(int(status["VmHWM"].split()[0]) * 1024, flush=True)
plan = plan_export(base, Knockout(layer, "o_proj"), anatomy)
write_export(plan, out, base="base", link=bool(link))
"""

LOAD_EDIT_SAVE = """
import json, shutil, sys
from pathlib import Path
from safetensors import safe_open
from safetensors.torch import load_file, save_file
base, out, layer = *map(Path, sys.argv[1:3]), int(sys.argv[3])
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(int(status["VmHWM"].split()[0]) * 1024, flush=True)
name = f"model.layers.{layer}.self_attn.o_proj.weight"
shard = json.loads((base / "model.safetensors.index.json").read_text())["weight_map"][name]
shutil.copytree(base, out, ignore=lambda folder, names: [n for n in names if n == shard])
with safe_open(base / shard, "pt") as file:
    metadata = file.metadata()
tensors = load_file(base / shard)
tensors[name].zero_()
save_file(tensors, out / shard, metadata=metadata)
"""


def mergekit_recipe(base: Path, layer: int, layers: int) -> str:
    """Three slices passed through, the middle one with its output projection scaled by 0."""

    def source(begin: int, end: int, scale: str = "") -> str:
        at = f"  - sources:\n    - model: {base}\n      layer_range: [{begin}, {end}]\n"
        return at + scale if begin < end else ""

    scale = (
        "      parameters:\n        scale:\n        - filter: o_proj\n          value: 0.0\n"
        "        - value: 1.0\n"
    )
    slices = source(0, layer) + source(layer, layer + 1, scale) + source(layer + 1, layers)
    return f"slices:\n{slices}merge_method: passthrough\ndtype: bfloat16\n"


def measure(name: str, command: list[str], base: Path) -> Measurement:
    """Run a contender in its own process, the base not in the page cache."""
    for path in base.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complaints:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=printed, stderr=complaints)
        peak = 0
        while child.poll() is None:
            peak = max(peak, high_water(child.pid))
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        if child.returncode:
            complaints.seek(0)
            raise SystemExit(f"{name} failed:\n{complaints.read()[-2000:]}")
        printed.seek(0)
        first = printed.readline().strip()
    above = peak - int(first) if first.isdigit() else None
    return Measurement(name, seconds, peak, above)


def high_water(pid: int) -> int:
    """The peak resident memory of a running process, bytes; 0 where it is gone.

    Not `getrusage`: there a child starts with the peak of the process that forked it.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def contenders(
    base: Path, out: Path, layer: int, shape: Shape, mergekit: Path | None, with_command: bool
) -> dict[str, list[str]]:
    """Command lines, by name, in the order they run."""

    def python(program: str, *arguments: object) -> list[str]:
        return [
            sys.executable,
            "-c",
            program,
            str(base),
            str(out),
            str(layer),
            *map(str, arguments),
        ]

    def command(*options: str) -> list[str]:
        what = ["--model", str(base), "--layer", str(layer), "--scope", "o_proj"]
        run = [sys.executable, "-m", "talo_export", "export", *what, "--out", str(out)]
        return [*run, "--quiet", *options]

    copies = {"cp -r": ["cp", "-r", str(base), str(out)]}
    if can_reflink(base / "config.json", out.parent):
        copies["cp -r --reflink=never"] = ["cp", "-r", "--reflink=never", str(base), str(out)]
    commands = copies | {
        "cp -r, synced": ["sh", "-c", 'cp -r "$0" "$1" && sync "$1"/*', str(base), str(out)],
        "writing alone": python(TALO, shape.layers, 0),
        "writing alone, links": python(TALO, shape.layers, 1),
        "load, edit, save_file": python(LOAD_EDIT_SAVE),
    }
    if with_command:
        commands["talo-export export"] = command()
        commands["talo-export export --link"] = command("--link")
    if mergekit is not None:
        recipe = out.parent / "recipe.yaml"
        recipe.write_text(mergekit_recipe(base, layer, shape.layers))
        run = ["-m", "mergekit.scripts.run_yaml", str(recipe), str(out), "--no-copy-tokenizer"]
        commands["mergekit passthrough, scale 0"] = [str(mergekit), *run]
    return commands


def check(base: Path, out: Path, tensor: str) -> str:
    """What a contender changed, in words."""
    differences = diff_checkpoints(base, out).differences
    if not differences:
        return "nothing"
    if [(d.tensor, d.zero_in_b) for d in differences] == [(tensor, True)]:
        return "the layer's o_proj to 0"
    shown = ", ".join(f"{d.tensor} ({d.change})" for d in differences[:2])
    return f"{len(differences)} tensors: {shown}, ..."


def table(measurements: list[Measurement], changes: dict[str, str]) -> str:
    """A Markdown table."""
    lines = [
        "| way | seconds | peak memory | of it after imports | what changed |",
        "|---|---:|---:|---:|---|",
    ]
    for m in measurements:
        above = "" if m.above_imports_bytes is None else f"{m.above_imports_bytes / 1e6:.0f} MB"
        lines.append(
            f"| {m.name} | {m.seconds:.1f} | {m.peak_bytes / 1e6:.0f} MB | {above} "
            f"| {changes.get(m.name, 'not looked at')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.06)
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    parser.add_argument("--mergekit", type=Path, help="the Python of an environment with mergekit")
    parser.add_argument("--command", action="store_true", help="the whole command as well")
    parser.add_argument("--rounds", type=int, default=1, help="the fastest of so many is reported")
    parser.add_argument("--no-check", action="store_true", help="do not compare the outputs")
    arguments = parser.parse_args()
    shape = shape_for(arguments.gigabytes)
    layer = shape.layers // 2
    tensor = f"model.layers.{layer}.self_attn.o_proj.weight"
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        base, out = Path(folder) / "base", Path(folder) / "out"
        write_base(base, shape)
        size = sum(path.stat().st_size for path in base.iterdir())
        print(f"{size / 1e9:.2f} GB, {shape.layers} layers of {shape.hidden}, {SHARDS} shards\n")
        best: dict[str, Measurement] = {}
        changes: dict[str, str] = {}
        for _ in range(arguments.rounds):
            for name, command in contenders(
                base, out, layer, shape, arguments.mergekit, arguments.command
            ).items():
                found = measure(name, command, base)
                print(f"{name}: {found.seconds:.1f} s, {found.peak_bytes / 1e6:.0f} MB",
                      file=sys.stderr, flush=True)  # fmt: skip
                if name not in best or found.seconds < best[name].seconds:
                    best[name] = found
                if name not in changes and not arguments.no_check:
                    changes[name] = check(base, out, tensor)
                shutil.rmtree(out)
        print(table(list(best.values()), changes))


if __name__ == "__main__":
    main()
