"""Kill an export at random moments and look at what is left.

    python tests/checkpoint/kill_exports.py [--kills 300] [--megabytes 4]

The test suite does this a few dozen times; run it by hand for hundreds. An export process says
when it begins to write; it is sent SIGKILL a random fraction of the usual time later. Afterwards
there must be no output directory, or a complete one, and a second run must succeed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer

SHARDS = 3
TENSORS = ("q_proj", "k_proj", "v_proj", "o_proj")


def write_base(directory: Path, megabytes: float) -> Path:
    """Shards of random bytes, one layer each, and an index: enough for a writer, no model."""
    directory.mkdir(parents=True)
    size = int(megabytes * 1e6) // SHARDS // len(TENSORS) // 2 * 2
    weight_map: dict[str, str] = {}
    for shard in range(SHARDS):
        name = f"model-{shard}.safetensors"
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        for number, tensor in enumerate(TENSORS):
            key = f"model.layers.{shard}.self_attn.{tensor}.weight"
            weight_map[key] = name
            header[key] = {
                "dtype": "BF16",
                "shape": [1, size // 2],
                "data_offsets": [number * size, (number + 1) * size],
            }
        raw = json.dumps(header).encode()
        data = random.Random(shard).randbytes(size * len(TENSORS))
        (directory / name).write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (directory / "config.json").write_text("{}")
    return directory


def anatomy() -> Decoder:
    """The decoder of `write_base`, by the names on disk."""
    layers = []
    for index in range(SHARDS):
        path = f"model.layers.{index}.self_attn"
        *inputs, output = (f"{path}.{tensor}.weight" for tensor in TENSORS)
        mixer = Mixer("self-attention", path, (output,), tuple(inputs))
        layers.append(Layer(index, f"model.layers.{index}", (mixer,)))
    return Decoder("model.layers", tuple(layers))


def export(base: Path, out: Path) -> None:
    """The process under fire: it writes a byte to its standard output when the write begins."""
    plan = plan_export(base, Knockout(1), anatomy())
    os.write(1, b"!")
    write_export(plan, out, base="base", extra={"README.md": b"# card"}, keep_undo=True)


def fork_export(base: Path, out: Path, delay: float | None) -> float:
    """Run `export` in a forked process, killed after `delay` seconds; returns how long it wrote."""
    ready, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write_end, 1)
        export(base, out)
        os._exit(0)
    os.close(write_end)
    os.read(ready, 1)
    os.close(ready)
    started = time.perf_counter()
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.perf_counter() - started


def check_what_is_left(base: Path, out: Path) -> str:
    """`nothing`, `a partial` (hidden) or `complete`; raises AssertionError on anything else."""
    beside = sorted(path.name for path in out.parent.iterdir())
    hidden = [name for name in beside if name.startswith(f".{out.name}.talo-partial-")]
    assert set(beside) - set(hidden) <= {out.name}, beside
    if not out.exists():
        return "a partial" if hidden else "nothing"
    assert verify_files(out, base).ok
    return "complete"


def kill_many(root: Path, kills: int, megabytes: float, seed: int = 0) -> Counter[str]:
    """Kill `kills` exports; after each, the same export must succeed and leave only its output."""
    base = write_base(root / "base", megabytes)
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    moments = random.Random(seed)
    seen: Counter[str] = Counter()
    folder = root / "exports"
    folder.mkdir()
    usual = fork_export(base, folder / "warm", None)
    shutil.rmtree(folder / "warm")
    for number in range(kills):
        out = folder / f"out{number % 2}"
        fork_export(base, out, moments.uniform(0, 1.1) * usual)
        left = check_what_is_left(base, out)
        seen[left] += 1
        if left != "complete":
            usual = (usual + fork_export(base, out, None)) / 2
            assert check_what_is_left(base, out) == "complete"
        shutil.rmtree(out)
        assert not list(folder.iterdir())
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--megabytes", type=float, default=4.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        seen = kill_many(Path(folder), arguments.kills, arguments.megabytes)
        print(f"{arguments.kills} kills in {time.perf_counter() - started:.1f} s: {dict(seen)}")


if __name__ == "__main__":
    main()
