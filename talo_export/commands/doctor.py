"""`talo-export doctor`: what this machine offers, what is missing, and how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.publish.doctor import Examination, examine
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.readings import DoctorRequest

if TYPE_CHECKING:
    from rich.console import Console


def run(request: DoctorRequest, reporter: Reporter = SILENT) -> Examination:
    """Look at versions, devices, memory, disk, the Hub."""
    return examine()


def summary(facts: Examination) -> str:
    """The one sentence that `--quiet` prints."""
    return "ok" if facts.ok else "not ok"


def exit_status(facts: Examination) -> int:
    """1 where something serious is missing."""
    return 0 if facts.ok else 1


def show(facts: Examination, to: Console) -> None:
    """What is there, and what to do about what is not."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("python", f"{facts.python} on {facts.system}")
    grid.add_row("memory", f"{_gigabytes(facts.memory_available_bytes)} free of "
                           f"{_gigabytes(facts.memory_bytes)}")  # fmt: skip
    for device in facts.devices:
        grid.add_row(device.name, f"{device.description}; {', '.join(device.dtypes)}")
    for where, free in facts.disk_free_bytes:
        grid.add_row("disk", f"{_gigabytes(free)} free for {where}")
    hub = facts.hub
    grid.add_row(
        "Hub",
        f"{hub.endpoint}{' (offline)' if hub.offline else ''}, token "
        f"{'found' if hub.token else 'not found'}, {hub.cached_models} models in {hub.cache} "
        f"({_gigabytes(hub.cached_bytes)})",
    )
    working = [one.name for one in facts.back_ends if one.works]
    grid.add_row("works", ", ".join(working))
    for one in facts.back_ends:
        if one.install:
            grid.add_row("missing", f"{one.name} ({one.purpose}): {one.install}")
    packages = (f"{one.name} {one.version}" for one in facts.packages if one.version)
    grid.add_row("packages", ", ".join(packages))
    to.print(grid)
    for finding in facts.findings:
        style = "red" if finding.serious else "yellow"
        to.print(f"{finding.what}: {finding.do}", style=style)
    if not facts.findings:
        to.print("nothing is missing", style="green")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
