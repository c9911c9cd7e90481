"""What was foreseen ends in one sentence and a status; what was not keeps its traceback."""

from __future__ import annotations

import errno

import pytest

from talo_export.cli.failures import exit_on_known_errors
from talo_export.errors import TaloError, UsageError


def status_of(error: BaseException) -> int:
    with pytest.raises(SystemExit) as ended, exit_on_known_errors():
        raise error
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_foreseen_failure_is_one_sentence_and_status_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of(TaloError("shard 2 is missing: fetch it again.")) == 1
    assert capsys.readouterr().err == "error: shard 2 is missing: fetch it again.\n"


def test_wrong_usage_is_status_2() -> None:
    assert status_of(UsageError("layer 99 does not exist.")) == 2


def test_a_full_disk_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(OSError(errno.ENOSPC, "No space left on device", "/data/x")) == 1
    assert capsys.readouterr().err.startswith("error: /data/x: the disk is full: free some space")


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EEXIST, "no directory"), (errno.ENOTDIR, "a file"), (errno.EISDIR, "a directory")],
)
def test_an_output_that_stands_in_the_way_is_named(
    number: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files are written beside and renamed: the place that was asked for is the second name."""
    assert status_of(OSError(number, "as it says", ".out.1.tmp", None, "out")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out: ")
    assert says in said
    assert "--out" in said


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(KeyboardInterrupt()) == 130
    assert "run the same line again" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"), exit_on_known_errors():
        raise RuntimeError("shapes do not match")
