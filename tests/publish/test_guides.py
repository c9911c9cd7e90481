"""The numbered guides in `examples/`, run as a reader runs them: offline, on the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from hub_server import TOKEN, HubServer, fresh_environment

EXAMPLES = Path(__file__).parents[2] / "examples"
IN_TURN = """
import runpy, sys
for line in sys.argv[1:]:
    script, *arguments = line.split("|")
    sys.argv = [script, *arguments]
    print(f"## {script}")
    runpy.run_path(script, run_name="__main__")
"""


def run(hub: HubServer, folder: Path, *lines: str) -> dict[str, str]:
    """Each line, a script and its arguments, in one process; what each of them printed."""
    # One process: what costs most in these is importing torch and transformers.
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, *lines],
        cwd=folder,
        env=fresh_environment(hub, folder / "home", HF_TOKEN=TOKEN, PYTHONPATH=str(EXAMPLES)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    parts = done.stdout.split("## ")[1:]
    return {Path(part.partition("\n")[0]).stem[:2]: part for part in parts}


def test_the_guides_run(hub: HubServer, tmp_path: Path) -> None:
    scripts = [
        f"{EXAMPLES}/01_your_own_data.py",
        f"{EXAMPLES}/02_larger_than_your_gpu.py",
        f"{EXAMPLES}/03_many_tasks.py",
        f"{EXAMPLES}/04_compare_with_lora.py",
        f"{EXAMPLES}/05_publish.py|owner/demo-maps",
    ]
    said = run(hub, tmp_path, *scripts)
    assert "verdict: " in said["01"]
    assert (tmp_path / "runs/guide-01/run/report.html").is_file()
    assert "the same answers, layer by layer" in said["02"]
    assert len(re.findall(r"^atlas/\S+: ", said["03"], re.MULTILINE)) == 3
    assert (tmp_path / "runs/guide-03/analysis/heatmap.png").is_file()
    assert re.findall(r"^(\w+): \d+ %", said["04"], re.MULTILINE) == ["base", "knockout", "lora"]
    assert "refused: " in said["05"]
    assert 'from_pretrained("owner/demo-maps"' in said["05"]
    assert "model.safetensors" in hub.files("owner/demo-maps")
    assert "adapter_model.safetensors" in hub.files("owner/demo-maps-adapter")


def test_two_processes_share_a_probe(hub: HubServer, tmp_path: Path) -> None:
    said = run(hub, tmp_path, f"{EXAMPLES}/06_several_machines.py")
    assert "two processes found what one finds" in said["06"]


def test_every_guide_is_numbered_and_says_what_to_type() -> None:
    guides = sorted(EXAMPLES.glob("[0-9]*.py"))
    numbers = [int(guide.name[:2]) for guide in guides]
    assert len(guides) == 6
    assert len(set(numbers)) == len(numbers)
    for guide in guides:
        text = guide.read_text(encoding="utf-8")
        assert f"python examples/{guide.name}" in text, guide
        assert "talo_export probe" in text or "talo-export" in text, guide
