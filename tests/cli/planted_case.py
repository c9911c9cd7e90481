"""A planted case, and the installed command as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PLANTED = 2
LAYERS = 5
ITEMS = 90


@dataclass(frozen=True)
class Planted:
    """A checkpoint directory and a task file for it."""

    model: Path
    task: Path


def talo_export(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user does."""
    command = [str(Path(sys.executable).with_name("talo-export")), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
