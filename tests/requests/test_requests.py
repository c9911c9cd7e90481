"""A setting is declared once: the command, the Python function and the line agree about it."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import talo_export
from talo_export.cli.flags import command
from talo_export.errors import UsageError
from talo_export.knockout import Knockout
from talo_export.requests.checkpoints import (
    DiffRequest,
    ExportRequest,
    InspectRequest,
    PushRequest,
    UndoRequest,
    VerifyRequest,
)
from talo_export.requests.fields import Argument, Request, Setting, command_line, verb_of
from talo_export.requests.fields import settings as settings_of
from talo_export.requests.measurements import (
    AskRequest,
    CompareRequest,
    EvaluateRequest,
    ProbeRequest,
)
from talo_export.requests.readings import (
    AnalyzeRequest,
    DoctorRequest,
    LoadTaskRequest,
    ReportRequest,
    TasksRequest,
)
from talo_export.runs.request import command_line_of

PACKAGE = Path(talo_export.__file__).parent
REQUESTS: tuple[type[Request], ...] = (
    ProbeRequest, AskRequest, ExportRequest, VerifyRequest, PushRequest, UndoRequest, DiffRequest,
    EvaluateRequest, CompareRequest, AnalyzeRequest, ReportRequest, TasksRequest, InspectRequest,
    DoctorRequest,
)  # fmt: skip

NAMES = st.text("abcxyz._", min_size=1, max_size=6)
# No command line carries a zero byte.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
PATHS = TEXTS.map(Path)
METHODS = st.lists(st.sampled_from(["base", "lora", "dora"]), min_size=1).map(tuple)
OF_A_NAME: dict[str, st.SearchStrategy[Any]] = {
    "columns": st.dictionaries(st.sampled_from(["question", "answer"]), NAMES, min_size=1),
    "max_memory": st.fixed_dictionaries({"0": st.just("20GB"), "cpu": st.just("1.5TiB")}),
    "criterion": st.sampled_from(["auto", "accuracy", "margin"]),
    "min_gain": st.none() | st.floats(-1, 1, exclude_max=True),
    "lr": st.floats(1e-9, 10),
    "methods": st.just(("all",)) | METHODS,
    "kind": st.sampled_from(["heatmap", "pairs", "side-effects"]),
    "layer": st.none() | st.integers(-1, 99) | st.sets(st.integers(-1, 99)),
    "heads": st.dictionaries(
        st.integers(0, 99), st.sets(st.integers(0, 99), min_size=1), max_size=3
    ),
    "task": st.none() | st.text() | st.just("check"),
    "ProbeRequest.shots": st.none() | st.integers(1, 99),
    "CompareRequest.shots": st.sets(st.integers(1, 99), min_size=1).map(sorted).map(tuple),
    "runs": st.lists(PATHS, min_size=1, max_size=3).map(tuple),
    "images": st.lists(PATHS, max_size=3).map(tuple),
}


def values(declared: type[Request], setting: Setting) -> st.SearchStrategy[Any]:
    """Values that the field may have."""
    for name in (f"{declared.__name__}.{setting.name}", setting.name):
        if name in OF_A_NAME:
            return OF_A_NAME[name]
    if setting.flag.least is not None:
        return st.integers(setting.flag.least, 99)
    if setting.holds in (Path, Path | None):
        return PATHS
    return st.from_type(setting.holds)


@st.composite
def requests(draw: st.DrawFn, declared: type[Request]) -> Request:
    """A request, each setting at its default or at another value."""
    chosen = {
        setting.name: draw(values(declared, setting))
        for setting in settings_of(declared)
        if inspect.signature(declared).parameters[setting.name].default is inspect.Parameter.empty
        or draw(st.booleans())
    }
    try:
        return declared(**chosen)
    except UsageError:
        assume(False)
        raise


def parsed(declared: type[Request], words: list[str]) -> Any:
    """What the command makes of the words behind its name; its output where it refuses them."""
    kept = []
    app = typer.Typer()
    app.command()(command(declared, lambda request, sink: kept.append(request)))
    result = CliRunner().invoke(app, words)
    return kept[0] if kept else result.output


@pytest.mark.parametrize("declared", REQUESTS, ids=verb_of)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_command_line_asks_for_the_request_it_was_made_from(
    declared: type[Request], data: st.DataObject
) -> None:
    request = data.draw(requests(declared))
    words = shlex.split(command_line(request))
    assert words[:2] == ["talo-export", verb_of(declared)]
    assert parsed(declared, words[2:]) == request


def test_a_command_line_leaves_out_what_is_at_its_default() -> None:
    request = ProbeRequest("owner/name", "maps", out="a run", checkpoint=False, min_gain=0.07)
    assert command_line(request) == (
        "talo-export probe --model owner/name --task maps --min-gain 7 --out 'a run' "
        "--no-checkpoint"
    )


def test_the_line_of_a_run_names_all_that_made_it_but_that_it_began_anew() -> None:
    request = ProbeRequest(
        device="cpu", device_map="auto", offload="w", max_memory={"cpu": "4GB"}, engine="naive",
        out="run", checkpoint=False, fresh=True,
    )  # fmt: skip
    assert command_line_of(request) == (
        "talo-export probe --device cpu --device-map auto --offload w --max-memory cpu=4GB "
        "--task maps --engine naive --out run --no-checkpoint"
    )


@pytest.mark.parametrize("declared", REQUESTS, ids=verb_of)
def test_the_function_takes_what_the_command_takes_and_tells_the_meaning_of_each(
    declared: type[Request],
) -> None:
    function = getattr(talo_export, verb_of(declared))
    keywords = set(inspect.signature(function).parameters)
    assert keywords == {setting.name for setting in settings_of(declared)}
    options = set(inspect.signature(command(declared)).parameters)  # type: ignore[arg-type]
    assert options == keywords | {"json", "quiet"}
    for setting in settings_of(declared):
        assert re.search(rf"^{setting.name}: \w", function.__doc__, re.MULTILINE)
    assert "--" not in re.sub("`[^`]*`", "", function.__doc__)


def test_every_verb_is_a_function() -> None:
    assert set(dir(talo_export)) == {*map(verb_of, REQUESTS), "load_task", "__version__"}


def test_today_s_positions_are_kept() -> None:
    first = {
        function.__name__: [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        ]
        for function in (getattr(talo_export, verb_of(one)) for one in REQUESTS)
    }
    assert first["probe"] == first["evaluate"] == first["compare"] == ["model", "task"]
    assert first["export"] == first["inspect"] == ["model"]
    assert first["analyze"] == ["kind", "runs"]
    assert first["push"] == ["directory", "repo_id"]
    assert first["verify"] == first["undo"] == ["directory"]
    assert first["tasks"] == ["task", "file"]


def test_nothing_else_declares_an_option() -> None:
    declaring = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"typer\.(Option|Argument)", path.read_text(encoding="utf-8"))
    }
    assert declaring == {"cli/flags.py", "cli/app.py"}  # The program's own --version.


NEEDED: dict[type[Request], dict[str, Any]] = {
    AskRequest: {"run": "run"},
    ExportRequest: {"run": "run", "out": "out"},
    VerifyRequest: {"directory": "out"},
    UndoRequest: {"directory": "out", "out": "base"},
    DiffRequest: {"a": "a", "b": "b"},
    PushRequest: {"directory": "run", "repo_id": "owner/name"},
    AnalyzeRequest: {"kind": "heatmap", "runs": ["run"]},
    ReportRequest: {"runs": ["run"]},
    LoadTaskRequest: {"task": "maps"},
}
"""What must be given, or else the request cannot be."""
WITH: dict[tuple[type[Request], str], dict[str, Any]] = {
    (AskRequest, "model"): {"question": "why?"},
    (ExportRequest, "model"): {"layer": 1, "out": "out"},
    (TasksRequest, "file"): {"task": "check"},
}
"""The same, where one setting needs another, or excludes one."""


def of_text(kind: Any, setting: Setting) -> bool:
    """Whether a setting holds text, paths or several of them."""
    words = repr(setting.accepts)
    return not setting.choices and any(word in words for word in ("str", "Path"))


TEXTS_OF = [(d, s) for d in (*REQUESTS, LoadTaskRequest) for s in settings_of(d) if of_text(d, s)]
PATHS_OF = [
    (declared, setting) for declared, setting in TEXTS_OF
    if "Path" in repr(setting.accepts) or setting.flag.metavar in ("REF", "DIR", "FILE", "TASK")
]  # fmt: skip


def asked(declared: type[Request], setting: Setting, text: str) -> Request:
    """The request with this text in one of its settings."""
    several = "Sequence" in repr(setting.accepts)
    value: Any = {text: text} if "Mapping" in repr(setting.accepts) else text
    given = WITH.get((declared, setting.name), NEEDED.get(declared, {}))
    return declared(**{**given, setting.name: [value] if several else value})


def name_of(value: Any) -> str:
    return value.name if isinstance(value, Setting) else verb_of(value)


@pytest.mark.parametrize(("declared", "setting"), PATHS_OF, ids=name_of)
def test_every_path_may_be_text_and_starts_at_home_where_it_says_so(
    declared: type[Request], setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    value = getattr(asked(declared, setting, "~/a b/x"), setting.name)
    (value,) = value if isinstance(value, tuple) else (value,)
    assert str(value) == "/home/me/a b/x"
    assert isinstance(value, Path) == ("Path" in repr(setting.holds))


@pytest.mark.parametrize(("declared", "setting"), TEXTS_OF, ids=name_of)
def test_bytes_that_are_no_utf8_are_refused_in_every_setting(
    declared: type[Request], setting: Setting
) -> None:
    with pytest.raises(UsageError) as caught:
        asked(declared, setting, os.fsdecode(b"nix\xff.jsonl"))
    assert f"{setting.shown} is" in str(caught.value)
    assert "not UTF-8" in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "chosen", "sentence"),
    [
        (ProbeRequest, {"fill": "one"}, "--fill is 'one'; choose one of zero, uniform, mean."),
        (ProbeRequest, {"shots": 0}, "--shots is 0: 1 is the least."),
        (ExportRequest, {"layer": 1}, "export needs --out DIR"),
        (ExportRequest, {"layer": 1, "run": "run"}, "--run names the model and the layer already"),
        (ExportRequest, {"layer": 1, "heads": {1: [0]}, "out": "o"}, "--heads names its layers"),
        (ExportRequest, {"heads": {1: [0]}, "scope": "mlp", "out": "o"}, "leave out --scope"),
        (ExportRequest, {"heads": {1: [0]}, "run": "run", "out": "o"}, "--run names the model"),
        (AnalyzeRequest, {"kind": "heat", "runs": ["run"]}, "'heat' is no analysis; there are"),
        (TasksRequest, {"task": "check"}, "tasks check needs a file of items"),
    ],
)
def test_a_request_that_cannot_be_is_refused_when_it_is_made(
    declared: Any, chosen: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        declared(**chosen)


def test_several_layers_are_several_options_in_any_order() -> None:
    said = parsed(ExportRequest, ["--layer", "12,13", "--out", "out"])
    assert "another --layer for each further layer" in said
    request = parsed(ExportRequest, ["-k", "13", "--layer", "7", "--out", "out"])
    assert request.layer == (7, 13)
    assert request == ExportRequest(layer={13, 7}, out="out")
    assert command_line(request) == "talo-export export --layer 7 --layer 13 --out out"


def test_heads_are_named_by_their_layer() -> None:
    request = parsed(ExportRequest, ["--heads", "12:4,0", "--heads", "3:1", "--out", "out"])
    assert request.heads == ((3, (1,)), (12, (0, 4)))
    assert request.to_knockout() == Knockout(3, also=(12,), heads=((1,), (0, 4)))
    line = "talo-export export --heads 3:1 --heads 12:0,4 --out out"
    assert command_line(request) == line
    assert command_line(ExportRequest.of(request.to_knockout(), None, "out")) == line
    assert "such as 12:0,4" in parsed(ExportRequest, ["--heads", "12", "--out", "out"])


@pytest.mark.parametrize(
    "words",
    [("export", "--layer", "3"), ("export", "--layer", "1,2", "--out", "o"), ("report",),
     ("probe", "--min-gain", "500"), ("compare", "--seeds", "0"), ("tasks", "check")],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_request_is_told_before_anything_heavy_is_imported(words: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['talo-export', *{words!r}]\n"
        "from talo_export.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'scipy', 'numpy'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "heavy: []\n")


@pytest.mark.parametrize("declared", REQUESTS, ids=verb_of)
@pytest.mark.parametrize("columns", ["60", "80"])
def test_help_cuts_no_name_of_an_option(declared: type[Request], columns: str) -> None:
    line = [sys.executable, "-m", "talo_export", verb_of(declared), "--help"]
    done = subprocess.run(
        line, capture_output=True, text=True, env={**os.environ, "COLUMNS": columns}, check=True
    )
    assert "…" not in done.stdout
    assert "[[" not in done.stdout
    words = set(re.findall(r"--[a-z][\w-]*|[A-Z/]+", done.stdout))
    for setting in settings_of(declared):
        names = [part for name in setting.flag.names for part in name.split("/")]
        place = [setting.flag.metavar] if isinstance(setting.flag, Argument) else []
        assert {*(name for name in names if name.startswith("--")), *place} <= words
