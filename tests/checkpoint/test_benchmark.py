"""The benchmark of the write, small: every contender runs and changes what it says it changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_an_export_runs_and_its_memory_is_a_copys(tmp_path: Path) -> None:
    script = ROOT / "examples" / "benchmarks" / "export.py"
    done = subprocess.run(
        [sys.executable, str(script), "--gigabytes", "0.02", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    rows = {
        cells[0]: cells[1:]
        for line in done.stdout.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and len(cells) == 5
    }
    changed = {
        name: cells[3] for name, cells in rows.items() if name != "way" and "---" not in name
    }
    assert changed == {
        "cp -r": "nothing",
        "cp -r, synced": "nothing",
        "writing alone": "the layer's o_proj to 0",
        "writing alone, links": "the layer's o_proj to 0",
        "load, edit, save_file": "the layer's o_proj to 0",
    }
    for name in ("writing alone", "writing alone, links"):
        _, peak, after_imports, _ = rows[name]
        assert float(peak.removesuffix(" MB")) < 75
        assert float(after_imports.removesuffix(" MB")) < 40
    assert list(tmp_path.iterdir()) == []
