"""Text from a file, a model or a server is shown as it is: it commands neither terminal, page,
card nor spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from results import BASE, TASK, comparison, probe_result, row, subject
from run_examples import case, item, run

from talo_export.baselines.summary import to_csv
from talo_export.checkpoint.diff import CheckpointDiff, TensorDifference
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.verify import FileVerdicts, TensorVerdicts
from talo_export.cli.notebook import as_html
from talo_export.cli.output import Sink, inert_console
from talo_export.codec import Recorded, to_json
from talo_export.commands import ask, compare, diff, evaluate, export, inspect, probe, tasks, verify
from talo_export.commands.ask_models import Answer as Said
from talo_export.commands.ask_models import Asked, AskResult
from talo_export.commands.evaluate_tasks import (
    Answer,
    EvaluatedTask,
    EvaluateResult,
    EvaluationsResult,
)
from talo_export.commands.export import AdapterExport, ExportedFile, PlannedExport
from talo_export.commands.inspect import (
    InspectedLayer,
    InspectedMixer,
    Inspection,
    StoredTensor,
)
from talo_export.commands.many import Failure
from talo_export.commands.probe_tasks import ManyResult, _row, table_csv
from talo_export.commands.shown_items import ShownItem, ShownItems, ShownPicture
from talo_export.commands.tasks import TaskCheck, TaskList, TaskSummary
from talo_export.commands.verify import VerifyResult
from talo_export.evidence.analyses.cases import Cases
from talo_export.foreign_text import csv_cell, json_text, visible
from talo_export.publish.card import render_card, render_collection
from talo_export.publish.metadata import eval_result_files
from talo_export.publish.report import render_report
from talo_export.tasks.averages import Averages

HOSTILE = [
    "[bold]a[/x]",
    "[link=http://x]y",
    "a\x1b[2J\x1b]0;t\x07b",
    "x\nerror: forged",
    "\u202egpj.exe",
    "\x9b31mx",
    "=1+1",
    "<script>alert(1)</script>",
    "---\nlicense: mit",
    "a|b`c",
    "]](javascript:x)",
]


def averages(text: str) -> Averages:
    return Averages(micro=0.5, macro=0.5, unit=0.5, by_category={text: 0.5, "b": 0.5}, units=2)


def evaluated(text: str) -> EvaluateResult:
    return EvaluateResult(
        model=text, revision=None, task=text, task_source=text, scoring="generate", chance=0.25,
        n=2, too_long=(text,), accuracy=0.5, ci95=(0.1, 0.9), averages=averages(text), unparsed=1,
        items=(Answer(text, text, None, False),), seconds=1.0, dtype=text,
    )  # fmt: skip


def edits(text: str) -> tuple[Edit, ...]:
    return (Edit("a.safetensors", text, text, (2, 3), 0, 12, b"\0"),)


def planned(text: str) -> PlannedExport:
    return PlannedExport(
        out=None, layer=1, scope="attention", fill="zero", edits=edits(text), bytes_total=12,
        files=(ExportedFile(text, 12, 0, f"old-{text}"),), storage=text, disk_needed=12,
        warnings=(text,), linked=(), added=(text,), disk_free=None,
    )  # fmt: skip


def inspected(text: str) -> Inspection:
    tensor = StoredTensor(text, "output", text, text, (1,), 4)
    mixers = (
        InspectedMixer(text, text, (tensor,)),
        InspectedMixer("self-attention", None, (tensor,)),
    )
    layer = InspectedLayer(0, {"attention": text, "o_proj": None}, False, mixers)
    return Inspection(text, None, text, text, text, (layer,), (text,))


def many(text: str) -> ManyResult:
    results = (probe_result(task=text), probe_result(task=text, selected_layer=None))
    return ManyResult(
        model=text, tasks=tuple(map(_row, results)), failed=(Failure(text, text),),
        discoveries=None, runs=(), table=Path(visible(text)), table_json=None, failures=Path("x"),
    )  # fmt: skip


def checked(text: str) -> TaskCheck:
    known = dict.fromkeys((field.name for field in fields(TaskCheck)), ())
    counts = dict.fromkeys(("items", "groups", "multiple_choice", "free_form", "pictures",
                            "confirm_items"), 3)  # fmt: skip
    shares = dict.fromkeys(("chance", "constant_accuracy", "changed_share", "confirmable_gain",
                            "best_case_gain"), 0.2)  # fmt: skip
    return TaskCheck(**known | counts | shares | {
        "name": text, "source": text, "categories": {text: 3}, "letters": {"A": 3},
        "same_content": ((text, text),), "contradictions": ((text, text),), "against": text,
    })  # fmt: skip


def verified(text: str) -> VerifyResult:
    files = FileVerdicts((text,), (text,), (text,), (text,), (text,), (text,), (text,), (text,))
    return VerifyResult(False, files, TensorVerdicts(1, (text,), (text,)), None, None, (text,))


def difference(text: str) -> CheckpointDiff:
    tensor = TensorDifference(text, "values", text, 1, text, text, (1,), False)
    return CheckpointDiff(Path("a"), Path("b"), 1, (tensor,))


SHOWN: dict[str, tuple[Callable[[str], Recorded], Callable[..., None]]] = {
    "probe": (
        lambda text: probe_result(
            task=text, task_source=text, model=text, too_long=(text,), run=Path(visible(text)),
            probe=replace(probe_result().probe, reason=text),
        ),
        probe.show,
    ),
    "many": (many, probe.show),
    "evaluate": (evaluated, evaluate.show),
    "evaluations": (
        lambda text: EvaluationsResult(
            text, "generate", (EvaluatedTask.of(evaluated(text)),), (Failure(text, text),), 0.5, 0.5
        ),
        evaluate.show,
    ),
    "compare": (
        lambda text: comparison(
            task=text, model=text, methods=(row(text, None, not_done=text, reasons=(text,)),)
        ),
        compare.show,
    ),
    "export": (planned, export.show),
    "adapter": (
        lambda text: AdapterExport(
            out=None, layer=1, scope="attention", fill="zero", modules={text: 3}, bytes_total=9
        ),
        export.show,
    ),
    "inspect": (inspected, inspect.show),
    "ask": (
        lambda text: AskResult(
            text, Path(visible(text)), None, text, text,
            (Asked(text, text, (text, text), (text,), text, Said(text, True), Said(text, False)),),
        ),
        ask.show,
    ),
    "items": (
        lambda text: ShownItems(
            text, text, text,
            (ShownItem(text, text.replace("\n", " "), True, 3, text, (text,),
                       (ShownPicture(Path(visible(text)), text, (1, 2)),)),),
        ),
        tasks.show,
    ),
    "tasks": (
        lambda text: TaskList((TaskSummary(text, None, 0.5, text, text, text),
                               TaskSummary(text, 3, 0.5, text, "bundled demo", text))),
        tasks.show,
    ),
    "check": (checked, tasks.show),
    "verify": (verified, verify.show),
    "diff": (difference, diff.show),
}  # fmt: skip


def commands_nothing(printed: str, text: str) -> None:
    """No control character but line ends, and nothing that begins a line of its own."""
    assert all(mark == "\n" or mark.isprintable() or mark == "\xa0" for mark in printed), printed
    for line in text.split("\n")[1:]:
        assert not any(shown.startswith(line) for shown in printed.splitlines()), printed


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("verb", SHOWN)
def test_a_terminal_is_shown_text_as_it_is(verb: str, text: str) -> None:
    make, show = SHOWN[verb]
    page = inert_console(file=io.StringIO(), width=200)
    show(make(text), page)
    printed = page.file.getvalue()
    commands_nothing(printed, text)
    wanted = " ".join(visible(text).split())
    if verb != "items":
        assert wanted in printed or " ".join(text.split()) in printed.replace("\n", " ")


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_the_text_and_commands_no_terminal(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = Sink(json_mode=True, quiet=False)
    result = evaluated(text)
    sink.result(result, summary="", show=lambda to: None)
    printed = capsys.readouterr().out
    commands_nothing(printed, "")
    assert json.loads(printed) == result.to_json()
    quiet = Sink(json_mode=False, quiet=True)
    quiet.result(result, summary=text, show=lambda to: None)
    quiet.warn(text)
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err


@pytest.mark.parametrize("text", HOSTILE)
def test_a_notebook_shows_text_as_text(text: str) -> None:
    html = as_html(evaluated(text))
    assert html is not None
    assert "<script>" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize("text", HOSTILE)
def test_a_card_is_not_commanded_by_names(text: str) -> None:
    plain, name = subject(), text.replace("/", "")
    wild = subject(
        base=replace(BASE, name=f"/models/{name}", hub_id=None),
        task=replace(TASK, task=text, task_source=text),
        edits=tuple(replace(edit, tensor=text) for edit in plain.manifest.edits),
        side_effects=replace(
            plain.record.side_effects, tasks={text: plain.record.side_effects.tasks["math"]}
        ),
    )
    for page, usual in (
        (render_card(wild), render_card(plain)),
        (render_collection([replace(wild, subfolder="a")]),
         render_collection([replace(plain, subfolder="a")])),
    ):  # fmt: skip
        card, expected = ModelCard(page), ModelCard(usual)
        assert card.data.to_dict().get("license") == expected.data.to_dict().get("license")
        # What stands between backticks, or behind a backslash, is text to Markdown.
        assert "<script>" not in re.sub(r"`[^`]*`|\\<", "", card.text)
        headings = [line for line in card.text.splitlines() if line.startswith("## ")]
        assert headings == [line for line in expected.text.splitlines() if line.startswith("## ")]
        assert all(mark == "\n" or mark.isprintable() for mark in page)
        assert "error: forged" not in [line[:13] for line in page.splitlines()]
    for path, content in eval_result_files(wild.record).items():
        assert path.count("/") == 1
        (entry,) = yaml.safe_load(content)
        assert set(entry) <= {"dataset", "value", "date", "notes", "source", "verifyToken"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_is_not_commanded_by_items(text: str) -> None:
    wild = replace(
        run(8, task=text, task_source=text, model=text),
        cases=Cases(4, 180, (case(0, answer=text),), ()),
        items={"maps/0": item(0, question=text, choices=(text,))},
    )
    assert render_report([wild]).count("<script>") == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_of_a_table_is_no_formula(text: str) -> None:
    rows = [to_json(line) for line in many(text).tasks]
    cells = [line["task"] for line in csv.DictReader(io.StringIO(table_csv(rows), newline=""))]
    assert cells == [csv_cell(text)] * 2
    assert not cells[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not to_csv([row("lora", None, not_done=text)]).splitlines()[-1].endswith(text)
    assert csv_cell(-1.5) == -1.5


def test_names_in_other_scripts_stand_as_they_are() -> None:
    for text in ("Zürich", "東京\u3000駅", "می‌خواهم", "a\xa0b", "C:\\x"):
        assert visible(text) == text
        assert json_text(text) == text


def test_every_part_of_a_made_up_result_is_a_value() -> None:
    """The table above names a value of every kind of result that a command shows."""
    for make, _ in SHOWN.values():
        value: Any = make("x")
        assert is_dataclass(value)
        assert as_html(value)
