"""What a command costs beside its work: processor time as a multiple of importing a model class.

    python examples/benchmarks/commands.py                      # the bundled demo model
    python examples/benchmarks/commands.py --model smollm2 --write

The measure is `python -c "from transformers import AutoModelForCausalLM"`, which anything that
touches a checkpoint by transformers begins with. Every command is a process of its own (`verify`
starts another one) and counts with all that it started: seconds of processor time in user mode, so
that waiting for a disk does not count. All run in turns, `--rounds` times, after one round that
only fills caches; each number is the smallest.

What is read out of a model's code is remembered: `first` runs with an empty cache, `again` does
not. The first command imports that code, as `from_pretrained` would: the second line is what it
costs without us.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from talo_export.demo.bundled import demo_model_directory

RIVAL = "from transformers import AutoModelForCausalLM"
PAGE = Path(__file__).with_suffix(".md")


def user_seconds(words: list[str], cache: Path) -> float:
    """User time of a process and all that it waited for. Raises SystemExit where it fails."""
    environment = {**os.environ, "TALO_EXPORT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=complaints, env=environment
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            complaints.seek(0)
            raise SystemExit(f"{' '.join(words)} failed:\n{complaints.read().decode()[-2000:]}")
    return usage.ru_utime


def own_class(model: str) -> str:
    """The import of the class that a model's config names."""
    config = (demo_model_directory() if model == "demo" else Path(model)) / "config.json"
    return f"from transformers import {json.loads(config.read_text())['architectures'][0]}"


def measured(model: str, layer: int, rounds: int) -> dict[str, float]:
    """The smallest user time of every line of the table, the rival's first."""
    model_class = own_class(model)
    talo = [sys.executable, "-m", "talo_export"]
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache, out = Path(folder) / "cache", Path(folder) / "out"
        export = [*talo, "export", "--model", model, "--layer", str(layer)]
        lines = {
            RIVAL: [sys.executable, "-c", RIVAL],
            model_class: [sys.executable, "-c", model_class],
            "tasks": [*talo, "tasks"],
            "inspect, first": [*talo, "inspect", model],
            "inspect, again": [*talo, "inspect", model],
            "export --dry-run, again": [*export, "--dry-run"],
            "export, again": [*export, "--out", str(out)],
            "export, first": [*export, "--out", str(out)],
            "verify": [*talo, "verify", str(out)],
        }
        for number in range(rounds + 1):
            for name, words in lines.items():
                if name.endswith("first"):
                    shutil.rmtree(cache, ignore_errors=True)
                if words[3:4] == ["export"]:
                    shutil.rmtree(out, ignore_errors=True)
                seconds = user_seconds(words, cache)
                if number:
                    best[name] = min(seconds, best.get(name, seconds))
    return best


def table(best: dict[str, float]) -> str:
    """The lines in Markdown."""
    rows = ["| command | user s | x the import |", "|---|--:|--:|"]
    unit = best[RIVAL]
    for name, seconds in best.items():
        rows.append(f"| `{name}` | {seconds:.2f} | {seconds / unit:.2f} |")
    return "\n".join(rows)


def page(model: str, words: str, rows: str) -> str:
    """The whole page."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    text = rest.split("\n\n", 1)[1]
    return (
        f"# What a command costs beside its work\n\n{about.partition(': ')[2].capitalize()}\n\n"
        f"```sh\n{words}\n```\n\n{rows}\n\n{text}\n"
        f"Python {platform.python_version()}, torch {version('torch')}, transformers "
        f"{version('transformers')}, {os.cpu_count()} cores; the model is {model}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--layer", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} beside this file")
    arguments = parser.parse_args()
    rows = table(measured(arguments.model, arguments.layer, arguments.rounds))
    print(rows)
    if arguments.write:
        name = Path(arguments.model).name
        words = f"python examples/benchmarks/commands.py --model {name} --write"
        PAGE.write_text(page(name, words, rows))


if __name__ == "__main__":
    main()
