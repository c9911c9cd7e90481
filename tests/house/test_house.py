"""The house itself: which way data flows, how fast help answers, and that lint and types hold."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "talo_export"

ROOMS = (
    "tasks", "models", "probing", "evidence", "checkpoint", "baselines", "demo", "requests",
    "runs", "publish", "commands", "cli",
)  # fmt: skip
"""In the order data flows: a room imports from itself and from rooms before it."""
SHARED = ("codec", "reporting", "errors", "foreign_text", "knockout", "wording")


def modules(path: Path) -> Iterator[str]:
    """All that a file imports from below `talo_export`, inside functions too: modules and names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.startswith("talo_export."))


def imports(path: Path) -> set[str]:
    """The rooms and shared words that a file imports from."""
    return {name.split(".")[1] for name in modules(path)}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_rooms_before_it(room: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *SHARED, "__version__"}
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): sorted(imports(path) - allowed) for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_has_an_import_circle_inside(room: str) -> None:
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (PACKAGE / room).rglob("*.py")
    }
    graph = {
        file: {name if name in files else name.rpartition(".")[0] for name in modules(path)}
        for file, path in files.items()
    }
    TopologicalSorter({file: names & set(files) for file, names in graph.items()}).prepare()


@pytest.mark.parametrize("word", SHARED)
def test_the_shared_words_import_no_room(word: str) -> None:
    assert not imports(PACKAGE / f"{word}.py") - {*SHARED}


def test_evidence_never_sees_torch_and_tasks_never_transformers() -> None:
    for room, library in (("evidence", "torch"), ("tasks", "torch"), ("tasks", "transformers")):
        for path in (PACKAGE / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert f"import {library}" not in text, path
            assert f"from {library}" not in text, path


UNTYPED = {
    "publish/patience.py": "a response of whichever HTTP library huggingface_hub speaks through"
}
"""Files that take in what has no type of ours, each with what that is."""


def test_what_is_recorded_published_and_shown_has_types_but_for_what_is_foreign() -> None:
    untyped = set()
    for room in ("runs", "publish", "commands"):
        for path in (PACKAGE / room).rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if any(isinstance(node, ast.Name) and node.id == "Any" for node in nodes):
                untyped.add(path.relative_to(PACKAGE).as_posix())
    assert untyped == set(UNTYPED)


@pytest.mark.parametrize("arguments", [("--help",), ("probe", "--help"), ("--version",)])
def test_help_imports_no_heavy_library(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['talo-export', *{arguments!r}]\n"
        "from talo_export.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'scipy', 'numpy'}\n"
        "    print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "talo-export" in done.stdout
    assert done.stderr.strip() == "[]"


def test_ruff_finds_nothing() -> None:
    command = [sys.executable, "-m", "ruff"]
    for check in (["check"], ["format", "--check", "--quiet"]):
        done = subprocess.run([*command, *check, "."], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_type_checker_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPY_FORCE_COLOR": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_starts_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.split("```")[1].strip().splitlines()[1:]
    assert len(lines) == 2
    assert "talo-export probe --task maps" in lines[0]
    assert "pytest" in lines[1]
