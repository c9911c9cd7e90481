"""Where output goes: any encoding, a closed stdout, a reader that leaves, a full disk."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from talo_export.cli.output import Sink
from talo_export.commands.evaluate_tasks import run_evaluate
from talo_export.errors import TaloWarning
from talo_export.reporting import SILENT
from talo_export.requests.measurements import EvaluateRequest

COMMAND = f"{sys.executable} -m talo_export"
MODES = ["", "--json", "--quiet"]
ROWS = [
    {"id": f"é{n}", "question": "Où?", "choices": ["ä", "東"], "answer": "東", "category": "東"}
    for n in range(2)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    (tmp_path / "naïve.jsonl").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """What a user's shell makes of the line; `$talo` is the command."""
    variables = {**os.environ, "COLUMNS": "100", **environment, "talo": COMMAND}
    script = f"set -o pipefail; {line}"
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, check=False
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_what_an_encoding_lacks_is_shown_as_its_escape(
    folder: Path, encoding: str, mode: str
) -> None:
    done = shell(folder, f"$talo tasks check naïve.jsonl {mode}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode(encoding)
    if mode == "--json":
        assert json.loads(printed)["categories"] == {"東": 2}
    elif not mode:
        assert "\\u6771 2" in printed


def test_a_sentence_is_shown_in_any_encoding(folder: Path) -> None:
    done = shell(folder, "$talo tasks check 東.jsonl", PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode("ascii") == "error: There is no task file \\u6771.jsonl.\n"


@pytest.mark.parametrize("line", ["--help", "probe --help", "--version"])
def test_help_is_shown_in_any_encoding(folder: Path, line: str) -> None:
    done = shell(folder, f"$talo {line}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "talo-export" in done.stdout.decode("ascii")


@pytest.mark.parametrize("mode", MODES)
def test_a_closed_stdout_is_no_failure(folder: Path, mode: str) -> None:
    done = shell(folder, f"$talo tasks check naïve.jsonl {mode} >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_closed_stderr_is_no_failure(folder: Path) -> None:
    done = shell(folder, "$talo tasks check none.jsonl 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


@pytest.mark.parametrize("line", [*MODES, "--help"])
def test_a_reader_that_leaves_ends_it_quietly(folder: Path, line: str) -> None:
    done = shell(folder, f"$talo tasks check naïve.jsonl {line} | true")
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_behind_stdout_is_one_sentence(folder: Path, mode: str) -> None:
    done = shell(folder, f"$talo tasks check naïve.jsonl {mode} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: the disk is full")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("mode", MODES)
def test_libraries_have_no_word_where_nobody_watches(folder: Path, mode: str) -> None:
    """No bars of loading weights, no warnings: of `transformers` nor of what it imports."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Noise:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'transformers.modeling_utils':\n"
        "            import warnings\n"
        "            warnings.warn('for programmers')\n"
        "            print('imported', file=open('noise', 'w'))\n"
        "sys.meta_path.insert(0, Noise())\n"
    )
    path = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
    line = f"$talo evaluate --task naïve.jsonl {mode}"
    done = shell(folder, line, PYTHONPATH=path, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    assert (folder / "noise").exists()
    ours = ("task naïve.jsonl", "naïve: 2 of 2 items", "the answers are kept in")
    lines = done.stderr.decode().splitlines()
    assert len(lines) == (0 if mode else len(ours)), lines
    assert all(line.startswith(start) for line, start in zip(lines, ours, strict=False))


def test_where_nobody_watches_our_warnings_are_told_and_a_librarys_are_not() -> None:
    with warnings.catch_warnings(record=True) as told:
        Sink(json_mode=True, quiet=False)
        warnings.warn("for programmers", UserWarning, stacklevel=1)
        warnings.warn("for the user", TaloWarning, stacklevel=1)
    assert [str(warning.message) for warning in told] == ["for the user"]


def answers_in(folder: Path) -> list[str]:
    (kept,) = (folder / "answers").iterdir()
    with closing(sqlite3.connect(kept)) as journal:
        rows = journal.execute("SELECT item FROM outcome ORDER BY item")
        return [item for (item,) in rows]


@pytest.mark.parametrize("end", [">&-", "| true", ">/dev/full"])
def test_no_answer_is_lost_with_the_output(folder: Path, end: str) -> None:
    shell(folder, f"$talo evaluate --task naïve.jsonl --out answers {end}")
    assert answers_in(folder) == ["é0", "é1"]


def test_a_second_evaluation_goes_on_and_a_fresh_one_asks_again(folder: Path) -> None:
    asked = EvaluateRequest(task=folder / "naïve.jsonl", out=folder / "answers")
    first = run_evaluate(replace(asked, limit=1), SILENT)
    assert answers_in(folder) == [first.items[0].id]
    (kept,) = (folder / "answers").iterdir()
    with closing(sqlite3.connect(kept)) as journal, journal:
        journal.execute("UPDATE outcome SET outcome = json_set(outcome, '$.answer', 'kept')")
    second = {answer.id: answer.answer for answer in run_evaluate(asked, SILENT).items}
    assert second.pop(first.items[0].id) == "kept"
    assert list(second.values()) != ["kept"]
    again = {answer.id: answer for answer in run_evaluate(replace(asked, fresh=True), SILENT).items}
    assert again[first.items[0].id] == first.items[0]


def test_another_way_of_asking_has_other_answers(folder: Path) -> None:
    asked = EvaluateRequest(task=folder / "naïve.jsonl", out=folder / "answers")
    run_evaluate(asked, SILENT)
    run_evaluate(replace(asked, scoring="likelihood"), SILENT)
    assert len(list((folder / "answers").iterdir())) == 2


def test_libraries_draw_no_bars_in_a_pipe() -> None:
    """transformers de-quantises GGUF under a plain tqdm bar, which its own switch leaves on."""
    script = (
        "from talo_export.cli.output import Sink; Sink(json_mode=False, quiet=False); "
        "from tqdm.auto import tqdm; list(tqdm(range(3)))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TQDM_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
