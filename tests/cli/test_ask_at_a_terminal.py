"""`ask` without a question: a terminal asks for one after the other, nothing else does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from planted_case import talo_export
from small_models import write_llama

from talo_export import api


def typed(text: str, *arguments: object, cwd: Path) -> str:
    """What a terminal shows of the command while this is typed."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, text.encode())
    command = [str(Path(sys.executable).with_name("talo-export")), *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=cwd, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while read := os.read(keyboard, 4096):
                shown += read
        except OSError:  # Linux says so where the last process at the terminal has ended.
            pass
    os.close(keyboard)
    assert process.returncode == 0
    return shown.decode()


def test_at_a_terminal_questions_are_typed_until_an_empty_line(tmp_path: Path) -> None:
    base = write_llama(tmp_path / "base")
    api.export(base, layer=1, out=tmp_path / "patched")
    shown = typed("Who?\nWhy?\n\n", "ask", "patched", "--max-new-tokens", 3, cwd=tmp_path)
    assert shown.count("question>") == 3
    assert shown.count("without layer 1's attention") == 2
    assert shown.index("Who?") < shown.rindex("Why?")


def test_elsewhere_a_question_is_missing(tmp_path: Path) -> None:
    base = write_llama(tmp_path / "base")
    done = talo_export("ask", "--model", base, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ask needs a question")
