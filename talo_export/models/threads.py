"""As many threads as there are processors for them, and work for them.

torch counts the processors that the process may run on (its affinity, `taskset`), but not what a
container may have of their time: with 2 of 64 it starts 64 threads, which wait for each other. And
its threads wait by computing, some milliseconds each time, which on a processor that something else
needs as well was measured to make all of it 30 times slower: here they wait asleep. A small model
runs faster on one thread: handing out its work takes longer than doing it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
VARIABLE = "OMP_NUM_THREADS"
SMALL = 10_000_000
"""Parameters below which one thread was the faster (`examples/benchmarks/threads.md`)."""


def share_processors() -> None:
    """Hold torch, here and in processes started from here, to a container's quota; let it wait
    asleep, unless it was imported before.

    What the user has set (`OMP_NUM_THREADS`, `OMP_WAIT_POLICY`) stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if VARIABLE in os.environ or not MEMBERSHIP.is_file():
        return
    allowed = quota(MEMBERSHIP.read_text(encoding="utf-8"), CGROUPS)
    if allowed is None or allowed >= len(os.sched_getaffinity(0)):
        return
    os.environ[VARIABLE] = str(allowed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(min(torch.get_num_threads(), allowed))


def threads_for(model: nn.Module) -> int:
    """How many threads to run a model on: torch's own number, one for a small model."""
    import torch

    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL
    return 1 if small else torch.get_num_threads()


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Run what is inside on so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quota(membership: str, cgroups: Path) -> int | None:
    """Processors by the tightest quota on a process, a part counted whole; None without one.

    `membership` is its `/proc/PID/cgroup`, `cgroups` where control groups of version 1 or 2 are
    mounted: https://docs.kernel.org/admin-guide/cgroup-v2.html. A container often sees its own
    group as the root, so those that are not there are passed over.
    """
    limits = [limit for folder in _groups(membership, cgroups) if (limit := _limit(folder))]
    return min(limits, default=None)


def _groups(membership: str, cgroups: Path) -> Iterator[Path]:
    """The folders of the process's groups that may hold a quota, and of those around them."""
    for line in membership.splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        place = PurePosixPath(group)
        for around in (place, *place.parents):
            for mount in dict.fromkeys((controllers, "cpu" if controllers else "")):
                yield cgroups / mount / str(around).lstrip("/")


def _limit(folder: Path) -> int | None:
    """The quota of one group."""
    with suppress(OSError, ValueError):
        if (folder / "cpu.max").exists():
            time, period = (folder / "cpu.max").read_text().split()
        else:
            time = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        # "max", or -1 in version 1, is none.
        return ceil(int(time) / int(period)) if int(time) > 0 else None
    return None
