"""What a finished probe leaves in front of a person: the result, an item of it, what to do next."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from results import CONFIRMED, NOTHING, probe_result
from rich.cells import cell_len

from talo_export.cli.output import inert_console
from talo_export.commands import probe
from talo_export.evidence.power import NullResult
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.example import Example
from talo_export.runs.request import command_worth_trying
from talo_export.runs.result import Evidence

EXAMPLE = Example("maps/7", "Which state\nis farthest north?", "Arizona", "Ohio", True)
WRITTEN: dict[str, Any] = {
    "run": Path("my runs/maps"),
    "checkpoint": Path("my runs/maps/checkpoint"),
    "example": EXAMPLE,
    "auto_class": "AutoModelForImageTextToText",
}


def end(width: int = 80, **changes: Any) -> list[str]:
    """The lines from the result on."""
    console = inert_console(file=io.StringIO(), width=width)
    probe.show(probe_result(**changes), console)
    lines = console.file.getvalue().splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("result ")) :]


def judged(verdict: Any) -> Any:
    return replace(CONFIRMED, verdict=verdict)


def test_the_end_of_a_confirmed_run_is_result_example_files_and_lines_to_copy() -> None:
    assert end(**WRITTEN) == [
        "result  Without layer 14's attention 56 % become 61 % on 180 items it never saw:",
        "        confirmed.",
        "example Which state is farthest north?",
        "        base: Arizona",
        "        without layer 14's attention: Ohio (right)",
        "files   my runs/maps/layers.png",
        "        my runs/maps/report.html",
        "        my runs/maps/checkpoint",
        'load    AutoModelForImageTextToText.from_pretrained("my runs/maps/checkpoint", '
        'dtype="auto")',
        "ask     talo-export ask 'my runs/maps' --item maps/7",
        "publish talo-export push 'my runs/maps' OWNER/NAME",
    ]


def test_an_unconfirmed_run_is_not_offered_to_be_published() -> None:
    text = "\n".join(end(**WRITTEN, confirm=judged("unconfirmed"), next_command="talo-export x"))
    assert "it never saw: not confirmed." in " ".join(text.split())
    assert "publish" not in text
    assert "next    talo-export x" in text


def test_a_harmful_run_shows_an_item_that_turned_wrong() -> None:
    wrong = replace(EXAMPLE, turned_right=False)
    text = "\n".join(end(confirm=judged("harmful"), example=wrong))
    assert "it harms." in text
    assert "Ohio (wrong)" in text
    assert not any(line.startswith(("load", "ask", "publish")) for line in text.splitlines())


def test_where_the_base_is_kept_it_is_said_what_was_too_few_to_see_and_what_to_try() -> None:
    null = NullResult(
        meaning="too few items", n=20, base_accuracy=0.55, smallest_of_interest=0.05,
        most_any_layer_gains=0.3, items_needed=490,
    )  # fmt: skip
    lines = end(selected_layer=None, evidence=Evidence(null=null), next_command="talo-export y")
    text = " ".join(" ".join(lines).split())
    assert text.startswith("result Keep the base: no layer's cut is worth it on 20 items.")
    assert "no checkpoint was written" in text
    assert "20 items are too few to tell: a layer could still gain 30.0 points" in text
    assert lines[-1] == "next    talo-export y"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_line_to_copy_is_never_folded_by_us(width: int) -> None:
    long = f"talo-export probe --task {'x' * 150}"
    assert f"next    {long}" in end(width, next_command=long)


def test_one_sentence_is_the_summary() -> None:
    assert probe.summary(probe_result()) == (
        "Without layer 14's attention 56 % become 61 % on 180 items it never saw: confirmed"
    )
    everything = probe_result(shots=None, selected_layer=None, confirm=None)
    assert probe.summary(everything) == (
        "Every item was probed: no layer was selected, nothing is confirmed"
    )


def test_more_items_are_tried_first_then_what_other_methods_do_with_these() -> None:
    request = ProbeRequest("a model", "maps", scoring="likelihood", out="runs/maps", fresh=True)
    assert command_worth_trying(request, 300, Path("runs/maps")) == (
        "talo-export probe --model 'a model' --task maps --scoring likelihood --shots 80 "
        "--out runs/maps.80-shots"
    )
    assert command_worth_trying(request, 100, Path("runs/maps")) == (
        "talo-export compare --model 'a model' --task maps --scoring likelihood"
    )
    assert command_worth_trying(replace(request, shots=None), 300, Path("runs/maps")) is None


def test_an_old_run_without_an_example_is_shown_all_the_same() -> None:
    assert end(confirm=NOTHING, selected_layer=None)[-1].endswith("report.html")


def test_a_text_without_spaces_is_wrapped_by_the_columns_it_takes_and_cut_at_its_length() -> None:
    asked = Example("maps/7", "青い州の首都はどこですか。" * 20, "東京", "大阪", True)
    lines = end(width=40, **(WRITTEN | {"example": asked}))
    question = lines[lines.index(next(line for line in lines if "example" in line)) :]
    question = question[: next(n for n, line in enumerate(question) if "base:" in line)]
    assert max(map(cell_len, question)) <= 40
    assert len(question) > 10
    assert question[-1].endswith(" ...")
