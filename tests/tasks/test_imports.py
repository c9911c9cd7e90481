"""Listing and checking tasks must not wait for a deep learning library."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch", "transformers", "datasets", "pyarrow", "huggingface_hub", "numpy", "scipy",
    "jinja2", "PIL",
)  # fmt: skip


def test_listing_and_reading_tasks_imports_nothing_heavy(tmp_path) -> None:
    quiz = tmp_path / "quiz.csv"
    quiz.write_text("question,answer\n?,x\n")
    code = (
        "import sys\n"
        "from talo_export.tasks.catalogue import list_tasks\n"
        "from talo_export.tasks.check import check_task\n"
        f"list_tasks(); check_task({str(quiz)!r})\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_command_that_lists_them_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from talo_export.cli.app import app\n"
        "app(['tasks'], standalone_mode=False)\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == ""
