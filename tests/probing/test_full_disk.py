"""A disk that really fills up under the journal: what was committed is kept, in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from talo_export.probing.journal import Journal

WRITER = """
import json, resource, shutil, sys
from pathlib import Path
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.probing.journal import Cell, Journal
from talo_export.probing.scores import Outcome

folder, kept, limited = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "limited"
if limited:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
right, committed = Outcome(True, True, "x" * 50, 0, (-0.5, -1.5)), 0
try:
    with Journal.open(folder / "scores.sqlite", {"task": "maps"}) as journal:
        while committed < 2000:
            journal.append([Cell(Knockout(k), f"item-{committed}", right) for k in range(10)])
            committed += 1
except TaloError as error:
    print(json.dumps({"said": str(error), "committed": committed}))
shutil.copytree(folder, kept)
"""
IN_A_SMALL_FILE_SYSTEM = 'mount -t tmpfs -o size=300k small "$1" && shift && exec "$@"'
APART = ["unshare", "--map-root-user", "--mount", "sh", "-c", IN_A_SMALL_FILE_SYSTEM, "sh"]


def may_mount() -> bool:
    """Whether this machine lets us have a file system of our own."""
    try:
        tried = subprocess.run([*APART, "/mnt", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


WAYS = {"a file that may not grow": "limited"}
if may_mount():
    WAYS["a full file system"] = "mounted"


@pytest.mark.parametrize("way", WAYS)
def test_what_was_committed_before_is_kept_and_the_rest_is_one_sentence(
    way: str, tmp_path: Path
) -> None:
    folder, kept = tmp_path / "small", tmp_path / "kept"
    folder.mkdir()
    line = [sys.executable, "-c", WRITER, str(folder), str(kept), WAYS[way]]
    if WAYS[way] == "mounted":
        line = [*APART, str(folder), *line]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert 0 < found["committed"] < 2000
    assert "scores.sqlite failed" in found["said"]
    assert "run the" in found["said"]
    assert "\n" not in found["said"]
    assert ("the disk is full" in found["said"]) == (WAYS[way] == "mounted")
    with Journal.open(kept / "scores.sqlite", {"task": "maps"}) as journal:
        assert sum(map(len, journal.outcomes().values())) == 10 * found["committed"]
