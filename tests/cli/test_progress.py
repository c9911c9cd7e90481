"""What is seen while a sweep runs: items done, time left, the leader, gains by layer."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from talo_export.cli.output import Sink
from talo_export.cli.progress import PLAIN_EVERY, Tasks, TerminalReporter, _picture, line
from talo_export.knockout import Knockout
from talo_export.probing.progress import Progress


def event(layers: int, *, resumed: int = 0) -> Progress:
    """Ten of forty items of a sweep; the middle layer leads by 12.5 points."""
    gains = dict(zip(map(Knockout, range(layers)), np.linspace(-0.4, 0.1, layers), strict=True))
    gains[Knockout(layers // 2)] = 0.125
    cells = layers + 1
    return Progress(10 * cells, 40 * cells, resumed * cells, 10, 40, resumed, gains)


def test_the_line_says_items_time_left_and_leader() -> None:
    assert line("probing 40 items", event(8), seconds=60.0) == (
        "probing 40 items: 10 of 40 done, 3:00 left, leading: layer 4 +12.5 points"
    )


def test_what_came_from_the_journal_does_not_speed_up_the_time_left() -> None:
    said = line("probing 40 items", event(8, resumed=5), seconds=60.0)
    assert "5 from the journal, 6:00 left" in said


def test_within_an_item_answers_are_counted_and_checking_is_said() -> None:
    within = replace(event(8), done=95, checking=True)
    assert line("probing 40 items", within, seconds=95.0).startswith(
        "probing 40 items: 10 of 40 done (95 of 360 answers), checking this one the slow way too, "
        "4:25 left"
    )


def test_a_confirmation_of_one_layer_has_no_leader() -> None:
    assert "leading" not in line("confirming", event(1), seconds=60.0)


def test_nothing_leads_before_there_is_a_gain() -> None:
    started = Progress(20, 80, 0, 10, 40, 0, {Knockout(0): -0.1, Knockout(1): 0.0})
    assert "leading" not in line("probing 40 items", started, seconds=60.0)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("layers", [8, 32, 80])
def test_the_picture_has_a_bar_a_layer_and_fits_its_terminal(layers: int, width: int) -> None:
    text = io.StringIO()
    Console(file=text, width=width).print(_picture("probing 40 items", event(layers), 60.0, width))
    lines = text.getvalue().splitlines()
    folds = -(-layers // (width - 7))
    assert len(lines) == 3 + 4 * folds
    assert lines[0] == "probing 40 items: 10 of 40 done, 3:00 left"
    assert lines[2] == f"leading: layer {layers // 2} +12.5 points"
    axes = [line[7:] for line in lines if line.startswith(" layer ")]
    assert [len(axis) for axis in axes] == [
        min(width - 7, layers - fold * (width - 7)) for fold in range(folds)
    ]
    assert "".join(axes)[layers // 2] == "^"


def test_in_a_pipe_there_are_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(np.arange(0, 1000, PLAIN_EVERY / 2))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with TerminalReporter(Sink(json_mode=False, quiet=False)) as reporter:
        advance = reporter.phase("probing 40 items", 360, "answers")
        for _ in range(6):
            advance(90, progress=event(8))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 3
    assert "\x1b" not in said.err
    assert "10 of 40 done" in said.err
    assert not sys.stderr.isatty()


def test_one_bar_goes_on_over_all_tasks() -> None:
    tasks = Tasks(2, started=0.0)
    seen = []
    for task in (0, 1):
        tasks.begin(task, f"task-{task}")
        for total in (6, 8):
            share = tasks.next_phase()
            for done in range(total + 1):
                tasks.inside = share(done / total)
                seen.append(tasks.done)
    assert seen == sorted(seen)
    assert (seen[0], seen[len(seen) // 2 - 1], seen[-1]) == (0.0, 0.5, 1.0)
    text = io.StringIO()
    Console(file=text, width=60).print(tasks.picture(60))
    first, drawn, _ = text.getvalue().splitlines()
    assert first == "task 2 of 2, 0:00 left for all: task-1"
    assert set(drawn.strip()) == {"━"}


def test_of_many_tasks_a_line_tells_which_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalReporter(Sink(json_mode=False, quiet=False)) as reporter:
        advance = reporter.phase("tasks", 2, "tasks")
        advance(0, name="demo/maps")
        advance(1, name="demo/count")
    begun = capsys.readouterr().err.splitlines()
    assert begun[0] == "task 1 of 2: demo/maps"
    assert begun[1].startswith("task 2 of 2, 0:00 left for all: demo/count")


@pytest.mark.parametrize(
    "mode", [{"json_mode": True, "quiet": False}, {"json_mode": False, "quiet": True}]
)
def test_nothing_is_told_where_json_or_quiet_is_asked_for(
    mode: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    with TerminalReporter(Sink(**mode)) as reporter:
        reporter.note("a remark")
        reporter.phase("tasks", 1, "tasks")(0, name="demo/maps")
        reporter.phase("probing", 4, "answers")(1, progress=event(8))
    assert capsys.readouterr() == ("", "")
