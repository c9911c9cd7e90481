"""A base that changes at any moment between the plan and the last byte copied is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from heard import Heard

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder


def rewrite(path: Path) -> None:
    """Other bytes in the same file, of the same size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)


def replace_by_a_copy(path: Path) -> None:
    """Another file with the same bytes and times."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def empty(path: Path) -> None:
    path.write_text("{}")


def swap_two_tensors(path: Path) -> None:
    """Another header of the same size in the same file, with its time put back."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    name, other = b"layers.0.self_attn.q_proj", b"layers.2.self_attn.q_proj"
    content = path.read_bytes()
    if path.suffix == ".safetensors" and name in content and other in content:
        content = content.replace(name, b"mark").replace(other, name).replace(b"mark", other)
        with path.open("r+b") as file:
            file.write(content)
        os.utime(path, ns=times)
    else:
        rewrite(path)


CHANGES = [rewrite, replace_by_a_copy, append, empty, swap_two_tensors]
FILES = ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", FILES)
def test_between_plan_and_write(
    single: Path, llama: Decoder, tmp_path: Path, change: Callable[[Path], None], name: str
) -> None:
    plan = plan_export(single, Knockout(0), llama)
    change(single / name)
    with pytest.raises(TaloError, match="changed"):
        write_export(plan, tmp_path / "new" / "out", base="base", keep_undo=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_while_it_is_copied(
    sharded: Path,
    llama: Decoder,
    tmp_path: Path,
    change: Callable[[Path], None],
    at: float,
    link: bool,
) -> None:
    plan = plan_export(sharded, Knockout(0), llama)
    for number, file in enumerate(plan.files):
        changed = False

        def interfere(done: int, total: int, file: Path = file.source) -> None:
            nonlocal changed
            if done >= at * total and not changed:
                changed = True
                change(file)

        before = file.source.read_bytes()
        with pytest.raises(TaloError, match=r"changed|became shorter"):
            write_export(
                plan, tmp_path / "new" / str(number), base="base", keep_undo=True, link=link,
                reporter=Heard(interfere),
            )  # fmt: skip
        assert changed
        assert not (tmp_path / "new").exists()
        file.source.write_bytes(before)
        plan = plan_export(sharded, Knockout(0), llama)


def test_a_file_that_comes_or_goes_while_it_is_copied(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    for change in (lambda: (single / "new.txt").touch(), (single / "tokenizer.json").unlink):
        plan = plan_export(single, Knockout(0), llama)
        events = iter([change])
        with pytest.raises(TaloError):
            write_export(
                plan,
                tmp_path / "out",
                base="base",
                reporter=Heard(lambda done, total, events=events: next(events, lambda: None)()),
            )
        assert not (tmp_path / "out").exists()


def test_a_header_that_changes_unseen_is_told_by_the_copy(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    """Same file, size and time: only the header of the copy can tell."""
    plan = plan_export(single, Knockout(0), llama)
    weights = single / "model.safetensors"
    before = weights.read_bytes()

    def swap(done: int, total: int) -> None:
        if weights.read_bytes() == before:
            swap_two_tensors(weights)

    with pytest.raises(TaloError, match="changed"):
        write_export(plan, tmp_path / "out", base="base", reporter=Heard(swap))
    assert weights.read_bytes() != before
    assert not (tmp_path / "out").exists()
