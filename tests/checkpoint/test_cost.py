"""What a write costs: a copy's memory, whatever the size of the tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MEASURE = """
import sys
from pathlib import Path
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer

def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return int(status["VmHWM"].split()[0])

base, out = Path(sys.argv[1]), Path(sys.argv[2])
layer = Layer(0, "layers.0", (Mixer("self-attention", "layers.0", ("o.weight",)),))
before = peak()
plan = plan_export(base, Knockout(0, "o_proj", sys.argv[3]), Decoder("layers", (layer,)))
write_export(plan, out / "export", base="base", keep_undo=True)
assert verify_files(out / "export", base).ok
undo_export(out / "export", out / "back")
print(peak() - before, "torch" in sys.modules, "transformers" in sys.modules)
"""


def test_a_big_tensor_is_never_held_and_torch_never_imported(tmp_path: Path) -> None:
    base, size = tmp_path / "base", 80 << 20
    base.mkdir()
    header = json.dumps(
        {"o.weight": {"dtype": "F32", "shape": [1024, size // 4096], "data_offsets": [0, size]}}
    ).encode()
    with (base / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + size)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(base), str(tmp_path), "uniform"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    kilobytes, torch, transformers = done.stdout.split()
    assert int(kilobytes) < 40_000
    assert (torch, transformers) == ("False", "False")
