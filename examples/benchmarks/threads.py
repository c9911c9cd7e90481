"""The sweep on one and two threads, on a quiet machine and beside another process that computes.

    python examples/benchmarks/threads.py smollm2 --lengths 64 --write

Every line is one item, all layers: the *hook loop* (a stock pass a layer, see `sweep.py`) and the
product's engine, *shared*, in one process and in turns; the smallest of `--repeat` wall times. The
other process is a loop that never waits. torch's own number of threads is that of the processors
the process may use; a quota of a container lowers it, and threads wait for each other asleep, as in
the product (`talo_export/models/threads.py`); `OMP_WAIT_POLICY=active` in the environment shows
what torch does by itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talo_export.models.threads import share_processors

share_processors()  # Before torch is imported, as the command does.

import torch
from sweep import by_engine, example, hook_loop

from talo_export.probing.settings import Scoring
from talo_export.requests.settings import InferenceSettings
from talo_export.runs.loading import load_for_inference

PAGE = Path(__file__).with_suffix(".md")
HEAD = (
    "| tokens | threads | another process | hook loop, s | shared, s | x hook loop |\n"
    "|--:|--:|---|--:|--:|--:|"
)


@contextmanager
def computing(processes: int) -> Iterator[None]:
    """So many processes that compute without end, until the block ends."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: 1"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="demo")
    parser.add_argument("--lengths", type=int, nargs="*", help="tokens; as they are for pictures")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--passes", type=int, help="of the hook loop's passes, run only so many")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} beside this file")
    arguments = parser.parse_args()
    scoring = Scoring("likelihood")
    loaded = load_for_inference(InferenceSettings(arguments.model, dtype="float32"))
    lines = [HEAD]
    print(HEAD)
    for length in arguments.lengths or [None]:
        encoded = example(loaded, scoring, length)
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            for others in (0, 1):
                clock = time.perf_counter
                slow, fast = [], []
                with computing(others):
                    for _ in range(arguments.repeat):
                        slow.append(
                            hook_loop(loaded, encoded, scoring, 1, arguments.passes, clock).seconds
                        )
                        fast.append(
                            by_engine(loaded, encoded, scoring, 1, None, "shared", clock).seconds
                        )
                ratio = min(slow) / min(fast)
                lines.append(
                    f"| {encoded.length} | {threads} | {'yes' if others else 'no'} "
                    f"| {min(slow):.2f} | {min(fast):.2f} | {ratio:.2f} |"
                )
                print(lines[-1], flush=True)
    if arguments.write:
        about, _, rest = (__doc__ or "").partition("\n\n")
        how = rest.split("\n\n", 1)[1]
        name = Path(arguments.model).name
        words = " ".join(["python examples/benchmarks/threads.py", name, *sys.argv[2:]])
        table = "\n".join(lines)
        cores = f"{os.cpu_count()} processors, torch {torch.__version__}, float32, {name}."
        PAGE.write_text(f"# {about}\n\n```sh\n{words}\n```\n\n{table}\n\n{how}\n{cores}\n")


if __name__ == "__main__":
    main()
