"""Whatever a base holds, nothing but the output is written, and the base is only read."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talo_export.checkpoint.diff import diff_checkpoints
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate",
           "os.symlink", "os.utime", "shutil.rmtree"}  # fmt: skip
watching: list[Path] = []
changed: list[str] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: notes every call that could change something outside the watched folder."""
    if not watching or not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    flags = arguments[2] if event == "open" and len(arguments) > 2 else 0
    if event in CHANGES or (isinstance(flags, int) and flags & WRITING):
        path = Path(os.path.abspath(os.fsdecode(arguments[0])))
        if not path.is_relative_to(watching[-1]):
            changed.append(f"{event} {path}")


sys.addaudithook(watch)


@contextmanager
def only_writing_below(folder: Path) -> Iterator[None]:
    changed.clear()
    watching.append(folder)
    try:
        yield
    finally:
        watching.pop()
    assert not changed


def test_the_watch_sees_a_write(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), only_writing_below(tmp_path / "elsewhere"):
        (tmp_path / "file").write_text("x")


def test_nothing_outside_the_output_is_ever_opened_for_writing(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["sharded"]
    with only_writing_below(tmp_path):
        plan = plan_export(base, Knockout(1), decoder)
        write_export(plan, tmp_path / "out", base="base", keep_undo=True)
        verify_files(tmp_path / "out", base)
        diff_checkpoints(base, tmp_path / "out")
        undo_export(tmp_path / "out", tmp_path / "back", base=base)


@given(st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_damaged_base_is_refused_or_exported_as_it_is(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path, data: st.DataObject
) -> None:
    base, decoder = tmp_path / "base", built["sharded"][1]
    out = tmp_path / "outputs" / "out"
    for folder in (base, out.parent):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(built["sharded"][0], base)
    out.parent.mkdir()
    victims = sorted(path for path in base.iterdir() if path.suffix in (".json", ".safetensors"))
    victim = data.draw(st.sampled_from(victims))
    content = bytearray(victim.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # The beginning is where headers lie.
        position = data.draw(st.integers(0, max(0, min(len(content) - 1, 600))))
        length = data.draw(st.integers(0, 8))
        content[position : position + length] = data.draw(st.binary(max_size=8))
    victim.write_bytes(content)
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    with only_writing_below(out.parent):
        try:
            write_export(plan_export(base, Knockout(1), decoder), out, base="base")
        except TaloError as refusal:
            refused: str | None = str(refusal)
        else:
            refused = None
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before
    if refused is None:
        assert verify_files(out, base).ok
    else:
        assert "\n" not in refused
        assert not list(out.parent.iterdir())
