"""What was read out of a model's code is remembered by all that it depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talo_export.checkpoint import remembered as module
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.remembered import remembered
from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALO_EXPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Work:
    """Counts how often it is done."""

    def __init__(self, value: int = 1) -> None:
        self.value, self.done = value, 0

    def __call__(self) -> int:
        self.done += 1
        return self.value


def test_work_is_done_once_for_the_same_arguments_and_again_for_others() -> None:
    work = Work()
    for about in ({"layers": 2}, {"layers": 2}, {"layers": 3}):
        assert remembered("x", int, about, work) == 1
    assert work.done == 2


def test_another_version_of_a_library_or_of_our_own_code_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work()
    remembered("x", int, {}, work)
    monkeypatch.setattr(module, "_libraries", lambda: {"transformers": "5.99"})
    remembered("x", int, {}, work)
    monkeypatch.setattr(module, "_own_sources", lambda: [("naming.py", 1, 1)])
    remembered("x", int, {}, work)
    assert work.done == 3


def test_a_development_version_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_libraries", lambda: {"transformers": "5.99.0.dev0"})
    work = Work()
    assert (remembered("x", int, {}, work), remembered("x", int, {}, work)) == (1, 1)
    assert work.done == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'"text"'])
def test_a_damaged_file_is_written_anew(damage: bytes, cache: Path) -> None:
    remembered("x", int, {}, Work())
    (file,) = cache.iterdir()
    file.write_bytes(damage)
    assert remembered("x", int, {}, Work(2)) == 2
    assert json.loads(file.read_bytes()) == 2


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.write_text("a file")
    assert remembered("x", int, {}, Work(3)) == 3


def test_what_fails_is_not_remembered() -> None:
    def refuse() -> int:
        raise TaloError("no")

    with pytest.raises(TaloError):
        remembered("x", int, {}, refuse)
    assert remembered("x", int, {}, Work()) == 1


def test_an_anatomy_comes_back_as_it_was_and_changes_with_the_tensors(
    built: dict[str, tuple[Path, Decoder]], single: Path, cache: Path
) -> None:
    for base in (single, built["gpt2"][0]):
        first: Decoder = checkpoint_anatomy(base)
        kept = len(list(cache.iterdir()))
        assert checkpoint_anatomy(base) == first
        assert len(list(cache.iterdir())) == kept
    config = json.loads((single / "config.json").read_text())
    (single / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    assert len(checkpoint_anatomy(single)) == 2
