"""The fast loop: `pytest -m fast` runs the pure rooms, and imports no test of another."""

from __future__ import annotations

import os
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
FAST = (
    "evidence/*", "runs/test_r[!e]*.py", "runs/test_record.py", "house/test_codec.py",
    "cli/test_failures.py",
    "probing/test_journal.py", "probing/test_plan.py", "tasks/test_a[!s]*.py",
    "tasks/test_c[!o]*.py", "tasks/test_different_texts.py", "tasks/test_few_shot.py",
    "tasks/test_rows.py", "tasks/test_sources.py", "tasks/test_splits.py",
    "tasks/test_what_is_said.py",
)  # fmt: skip
"""Of what needs no model."""


def is_fast(path: Path) -> bool:
    """Whether a test file is of the fast loop."""
    return any(fnmatch(path.relative_to(HERE).as_posix(), pattern) for pattern in FAST)


def pytest_configure(config: pytest.Config) -> None:
    """Keep what is remembered of models apart from the user's own cache, for one run."""
    folder = tempfile.TemporaryDirectory(prefix="talo-export-tests-")
    os.environ["TALO_EXPORT_CACHE"] = folder.name
    config.add_cleanup(folder.cleanup)
    # The same examples on every run, and no verdict by the clock: a first one pays for imports, and
    # the machine may be busy otherwise.
    settings.register_profile(
        "repeatable",
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("repeatable")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other files alone where only fast ones are asked for: importing them is slow."""
    if config.option.markexpr != "fast" or collection_path.suffix != ".py":
        return None
    return True if not is_fast(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the fast files."""
    for item in items:
        if HERE in item.path.parents and is_fast(item.path):
            item.add_marker("fast")
