"""Hostile text end to end: whatever holds it, no command lets it obey or pass for our words."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hub_server import Fault, HubServer
from probe_models import loaded_llama
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.utils.logging import disable_progress_bar
from typer.testing import CliRunner

from talo_export.cli import main, output
from talo_export.cli.app import app
from talo_export.cli.output import inert_console
from talo_export.cli.streams import prepare_streams

TEXT = (
    "[/red][bold]\x1b[31m\x1b]8;;http:x\x07y\r\u202e\x9b2J\nerror: forged\nverdict all as planned\n"
    "=cmd()é東<script>alert(1)<b>*`|]](x)"
)
"""Markup, escapes, a link, a bell, direction, forged lines, a formula, HTML and Markdown."""
FORGED = ("error: forged", "warning: forged", "verdict all", "=cmd()")
QUIET = ("--quiet",)
MODES = ((), ("--json",), QUIET)
MESSAGE = re.sub(r"[^\x1b\x20-\x7e]", "", TEXT)
"""What a header can hold."""


@dataclass(frozen=True)
class World:
    """A directory, a model and a task of hostile names, and a run of the one on the other."""

    folder: Path
    model: Path
    task: Path
    run: Path
    export: Path


def inert(printed: str) -> str:
    """The same, if it obeys nothing and forges nothing."""
    assert "Traceback" not in printed, printed
    assert all(mark == "\n" or mark.isprintable() or mark == "\xa0" for mark in printed), printed
    assert not any(line.startswith(FORGED) for line in printed.splitlines()), printed
    return printed


def said(*line: object, status: int = 0) -> str:
    """What a command prints, on either stream; it must end with this status, by itself."""
    done = CliRunner().invoke(app, list(map(str, line)))
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if "--json" in line and status == 0:
        json.loads(done.stdout)
    return inert(done.output)


@pytest.fixture(scope="module", autouse=True)
def _unfolded() -> Iterator[None]:
    """Wide output without bars, as in a process of its own: a fold begins no line."""
    disable_progress_bar()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "inert_console", lambda **o: inert_console(**{**o, "width": 9999}))
        patch.setattr(warnings, "formatwarning", warnings.formatwarning)
        prepare_streams()
        yield
    logging.setLogRecordFactory(logging.LogRecord)
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world") / TEXT.replace("/", "")
    folder.mkdir()
    model = folder / f"model{TEXT}".replace("/", "")
    loaded = loaded_llama(3)
    loaded.model.save_pretrained(model, max_shard_size="60kB")
    loaded.tokenizer.save_pretrained(model)
    (model / "README.md").write_text(f"---\nlicense: mit\n---\n# {TEXT}\n")
    rows = [
        {"id": f"{number}{TEXT}", "question": f"Which is {number}?", "hint": TEXT,
         "choices": [f"one{TEXT}", "two", "three", "four"], "answer": "ABCD"[number % 4],
         "category": f"{'ab'[number // 4 % 2]}{TEXT}"}
        for number in range(16)
    ]  # fmt: skip
    task = folder / f"task{TEXT}.jsonl".replace("/", "")
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run, export = folder / "run", folder / f"out{TEXT}".replace("/", "")
    line = ("probe", "--model", model, "--task", task, "--out", run, "--scoring", "likelihood")
    shown = said(*line, "--shots", 8, "--criterion", "accuracy", "--min-gain", -50)
    assert "model[red]" in shown
    said("export", "--model", model, "--layer", 2, "--out", export)
    return World(folder, model, task, run, export)


def lines(world: World, mode: tuple[str, ...]) -> list[list[str]]:
    """A line of every command that ends well, and that needs no training and no network."""
    again = ("probe", "--model", world.model, "--task", world.task, "--out", world.run)
    asked = ("evaluate", "--model", world.model, "--scoring", "likelihood", "--out", world.folder)
    shown = (world.task, "--show", 2, "--model", world.model, "--out", world.folder / "s")
    every: list[tuple[object, ...]] = [
        (*again, "--scoring", "likelihood", "--shots", 8, "--criterion", "accuracy",
         "--min-gain", -50),
        ("tasks", "check", world.task, "--against", world.task),
        # The texts alone, line by line, are what --quiet is to give of these.
        ("tasks", *(() if mode == QUIET else shown)),
        ("inspect", world.model),
        ("diff", world.model, world.export),
        ("report", world.run),
        ("analyze", "stability", world.run),
        ("export", "--model", world.model, "--layer", 1, "--dry-run"),
        ("compare", "--estimate", "--model", world.model),
        (*asked, "--limit", 3, "--task", world.task),
        ("doctor",),
    ]  # fmt: skip
    return [[*map(str, line), *mode] for line in every]


@pytest.mark.parametrize("mode", MODES)
def test_every_command_shows_names_as_text(world: World, mode: tuple[str, ...]) -> None:
    asked = ("ask", "--model", world.model, "--max-new-tokens", 2, TEXT)
    for line in (*lines(world, mode), [*map(str, asked), *mode]):
        said(*line)


def forked(line: list[str], folder: Path, stdout: int | None, encoding: str) -> tuple[int, str]:
    """Status and stderr of the command in a process of its own; `stdout` None: a closed one."""
    errors = folder / "stderr"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            if stdout is None:
                os.close(1)
            else:
                os.dup2(stdout, 1)
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.stderr = os.fdopen(2, "w", encoding=encoding)
            out = None if stdout is None else os.fdopen(1, "w", encoding=encoding, closefd=False)
            sys.stdout = out  # type: ignore[assignment]
            sys.argv = ["talo-export", *line]
            try:
                main()
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
            sys.stdout.flush()
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), errors.read_text(encoding=encoding)


@pytest.mark.parametrize("mode", MODES)
def test_every_command_ends_quietly_where_nobody_reads(
    world: World, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    reader, left = os.pipe()
    os.close(reader)
    for line in lines(world, mode):
        for stdout, status in ((left, 1), (None, 0)):
            ended, errors = forked(line, tmp_path, stdout, "utf-8")
            assert ended == status, (line, errors)
            inert(errors)
    os.close(left)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("mode", MODES)
def test_every_command_prints_in_any_encoding(
    world: World, tmp_path: Path, mode: tuple[str, ...], encoding: str
) -> None:
    for line in lines(world, mode):
        with (tmp_path / "stdout").open("wb") as out:
            ended, errors = forked(line, tmp_path, out.fileno(), encoding)
        assert ended == 0, (line, errors)
        printed = (tmp_path / "stdout").read_text(encoding=encoding)
        assert printed
        if mode == ("--json",):
            json.loads(printed)
        inert(errors + printed)


def test_categories_are_tasks_of_their_names(world: World) -> None:
    out = world.folder / "many"
    line = ("--model", world.model, "--task", f"{world.task}:*", "--scoring", "likelihood")
    said("evaluate", *line, "--out", out)
    said("probe", *line, "--out", out, "--shots", 4, "--no-checkpoint")
    rows = list(csv.reader(io.StringIO((out / "table.csv").read_text(), newline="")))
    assert len(rows) == 3
    assert not any(cell.startswith(("=", "@", "+")) for row in rows for cell in row)
    pages = [path.read_text() for path in out.rglob("report.html")]
    assert len(pages) == 2
    assert all(page.count("<script>") <= 1 for page in pages)


def test_an_export_is_proved_undone_and_compared(world: World) -> None:
    said("verify", world.export)
    said("undo", world.export, "--out", world.folder / "undone[/x]")
    adapter = world.folder / "adapter[/x]\x1b[31m"
    said("export", "--model", world.model, "--layer", 2, "--as", "adapter", "--out", adapter)
    methods = ("--methods", "calibration", "--shots", 4, "--seeds", 1, "--test-limit", 4)
    line = ("compare", "--model", world.model, "--task", world.task, "--scoring", "likelihood")
    said(*line, *methods, "--out", world.folder / "compare[/x]")
    extra = world.export / TEXT.replace("/", "")
    extra.write_text("")
    assert "no manifest can name it" in said("verify", world.export, status=1)
    extra.unlink()
    extra = world.export / "[bold]=cmd()\x9b31m"
    extra.write_text("")
    assert "[bold]=cmd()" in said("verify", world.export, status=1)
    extra.unlink()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_what_a_server_says_is_text(
    hub: HubServer, world: World, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.faults.append(Fault("POST", "", status=status, message=MESSAGE, times=9))
    line = ("push", world.run, "owner/x", "--allow-unconfirmed")
    for words in (line, (*line, "--dry-run")):
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exception is None or isinstance(done.exception, SystemExit)
        inert(done.output)


def test_what_a_library_logs_or_warns_of_is_one_line() -> None:
    log = logging.getLogger("talo_export.test")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log.addHandler(handler)
    log.warning("what concerns programmers")
    log.error("from the server: %s", TEXT)
    log.removeHandler(handler)
    stream.write(warnings.formatwarning(TEXT, UserWarning, "x.py", 1))  # type: ignore[arg-type]
    assert inert(stream.getvalue()).count("\n") == 2


def test_a_name_that_no_manifest_can_hold_is_refused_before_anything_is_written(
    world: World, tmp_path: Path
) -> None:
    model = damaged(world, tmp_path, lambda model: (model / "a\nb").touch())
    line = ("export", "--model", model, "--layer", 1, "--out", tmp_path / "out")
    assert "no manifest can name it" in said(*line, status=1)
    assert not (tmp_path / "out").exists()


def damaged(world: World, folder: Path, break_it: Callable[[Path], None]) -> Path:
    """A copy of the model that was made wrong."""
    model = Path(shutil.copytree(world.model, folder / "damaged"))
    break_it(model)
    return model


def rename_a_shard(model: Path) -> None:
    index = model / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    document["weight_map"] = {f"{TEXT}{key}": TEXT for key in document["weight_map"]}
    index.write_text(json.dumps(document))


def rename_tensors(model: Path) -> None:
    index = model / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    document["weight_map"] = {f"{key}{TEXT}": f for key, f in document["weight_map"].items()}
    index.write_text(json.dumps(document))
    for shard in model.glob("*.safetensors"):
        with safe_open(shard, "pt") as weights:
            save_file({f"{k}{TEXT}": weights.get_tensor(k) for k in weights.keys()}, shard)  # noqa: SIM118


def rename_in_config(key: str, value: object) -> Callable[[Path], None]:
    def rename(model: Path) -> None:
        config = model / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), key: value}))

    return rename


def make_an_adapter(model: Path) -> None:
    config = {"base_model_name_or_path": TEXT, "peft_type": TEXT, "task_type": TEXT}
    (model / "adapter_config.json").write_text(json.dumps(config))
    for file in model.glob("*.safetensors*"):
        file.unlink()


def break_a_template(model: Path) -> None:
    (model / "chat_template.jinja").write_text(
        "{{ raise_exception('" + TEXT.replace("'", "") + "') }}"
    )


@pytest.mark.parametrize(
    "break_it",
    [
        rename_a_shard,
        rename_tensors,
        rename_in_config("model_type", TEXT),
        rename_in_config("architectures", [TEXT]),
        rename_in_config("torch_dtype", TEXT),
        rename_in_config("quantization_config", {"quant_method": TEXT}),
        rename_in_config("auto_map", {"AutoConfig": TEXT}),
        make_an_adapter,
        break_a_template,
    ],
)
def test_what_a_model_says_is_text(
    world: World, tmp_path: Path, break_it: Callable[[Path], None]
) -> None:
    model = damaged(world, tmp_path, break_it)
    task = ("--task", world.task, "--limit", 1, "--out", tmp_path / "answers")
    for line in (
        ("inspect", model),
        ("export", "--model", model, "--layer", 1, "--out", tmp_path / "out"),
        ("evaluate", "--model", model, *task),
        ("tasks", world.task, "--model", model, "--show", 1),
        ("compare", "--model", model, "--estimate"),
        ("diff", model, world.model),
        ("verify", world.export, "--base", model),
    ):
        done = CliRunner().invoke(app, list(map(str, line)))
        assert done.exception is None or isinstance(done.exception, SystemExit), line
        inert(done.output)


YAML = [
    {"task": TEXT, "dataset_path": "json", "doc_to_text": TEXT, "doc_to_target": "a"},
    {"task": "x", "dataset_path": TEXT, "doc_to_text": "q", "doc_to_target": "a"},
    {"task": "x", "dataset_path": "json", "dataset_kwargs": {"data_files": TEXT}, TEXT: TEXT},
    {"task": "x", "include": TEXT},
    {"task": "x", "dataset_path": "json", "process_docs": "!function " + TEXT},
    {"group": TEXT, "task": [TEXT]},
]


@pytest.mark.parametrize("number", range(len(YAML)))
def test_what_a_yaml_says_is_text(number: int, tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(yaml.safe_dump(YAML[number]))
    for line in (("tasks", "check", file), ("evaluate", "--task", file, "--limit", 1)):
        done = CliRunner().invoke(app, list(map(str, line)))
        assert done.exception is None or isinstance(done.exception, SystemExit), line
        inert(done.output)


ROWS: list[object] = [
    {"question": TEXT, "choices": [TEXT, "b"], "answer": TEXT + "c"},
    {"question": "q", "choices": ["a", "b"], "answer": "A", "image": TEXT},
    {"question": "q", "choices": ["a", "b"], "answer": "A", "images": [TEXT, 3]},
    {"id": TEXT, "question": "q", "choices": TEXT, "answer": {TEXT: TEXT}},
    {TEXT: TEXT, f"{TEXT}2": "x"},
    {"question": "q", "choices": [TEXT, TEXT], "answer": "A"},
    {"question": "q", "A": TEXT, "C": TEXT, "answer": TEXT},
    f'{{"question": {TEXT}',
]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_what_a_task_says_is_text(number: int, tmp_path: Path) -> None:
    row = ROWS[number]
    text = row if isinstance(row, str) else json.dumps(row)
    file = tmp_path / "task.jsonl"
    file.write_text(f"{text}\n{text}\n")
    table = tmp_path / "task.csv"
    if isinstance(row, dict):
        with table.open("w", newline="") as opened:
            csv.writer(opened).writerows([row, [str(value) for value in row.values()]])
    for task in (file, table):
        done = CliRunner().invoke(app, ["tasks", "check", str(task)])
        assert done.exception is None or isinstance(done.exception, SystemExit)
        inert(done.output)


@pytest.mark.parametrize(
    "line",
    [
        (TEXT,),
        ("tasks", TEXT),
        ("tasks", "check", TEXT),
        ("probe", "--task", TEXT),
        ("probe", "--model", TEXT),
        ("probe", "--device", TEXT),
        ("probe", "--criterion", TEXT),
        ("probe", "--shots", TEXT),
        ("probe", "--scope", TEXT),
        ("probe", "--columns", TEXT),
        ("probe", f"--{TEXT}"),
        ("analyze", TEXT, TEXT),
        ("analyze", "stability", TEXT),
        ("report", TEXT),
        ("verify", TEXT),
        ("undo", TEXT, "--out", TEXT),
        ("diff", TEXT, TEXT),
        ("inspect", TEXT),
        ("push", TEXT, TEXT),
        ("export", "--run", TEXT, "--out", TEXT),
        ("export", "--layer", TEXT, "--out", TEXT),
        ("compare", "--methods", TEXT),
        ("compare", "--seeds", TEXT),
        ("evaluate", "--max-memory", TEXT),
    ],
)
def test_words_of_the_line_itself_are_text(line: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, list(line))
    assert isinstance(done.exception, SystemExit)
    inert(done.output)
