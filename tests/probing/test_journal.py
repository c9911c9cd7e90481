"""The journal: nothing lost, nothing mixed up, and one sentence when something is wrong."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.probing.journal import Cell, Journal, read_variant, variant_key
from talo_export.probing.scores import Outcome

IDENTITY = {"model": "abc", "task": "maps", "scoring.kind": "likelihood"}
RIGHT = Outcome(True, True, "rot", choice=1, scores=(-0.25, -1 / 3))


def cells(count, start=0):
    return [Cell(Knockout(i % 3), f"item-{i}", RIGHT) for i in range(start, start + count)]


def test_outcomes_come_back_to_the_last_bit(tmp_path):
    path = tmp_path / "scores.sqlite"
    broken = Outcome(False, False, "", finite=False)
    with Journal.open(path, IDENTITY) as journal:
        journal.append([Cell(None, "ä", RIGHT), Cell(Knockout(2, "mlp", "mean"), "ä", broken)])
    with Journal.open(path, IDENTITY) as journal:
        assert journal.outcomes() == {
            None: {"ä": RIGHT},
            Knockout(2, "mlp", "mean"): {"ä": broken},
        }


def test_a_closed_journal_is_one_file_and_reading_it_leaves_no_other(tmp_path):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(3))
    with Journal.read(path) as journal:
        assert sum(map(len, journal.outcomes().values())) == 3
    assert [found.name for found in tmp_path.iterdir()] == ["scores.sqlite"]


def test_a_journal_left_with_its_log_is_read_as_it_stands(tmp_path):
    with Journal.open(tmp_path / "scores.sqlite", IDENTITY) as journal:
        journal.append(cells(3))
        left = killed_copy(journal.path, tmp_path / "killed")
    # What runs of the first versions left behind: the log is folded in, the mode still its own.
    sqlite3.connect(left).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(2):
        with Journal.read(left) as journal:
            assert sum(map(len, journal.outcomes().values())) == 3


def test_closing_while_another_process_reads_is_no_error(tmp_path):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(3))
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM outcome").fetchone() == (3,)
    assert reader.execute("SELECT count(*) FROM outcome").fetchone() == (3,)
    reader.close()


@pytest.mark.parametrize("layer", [0, 7, 999])
@pytest.mark.parametrize("scope", ["attention", "o_proj", "mlp", "layer"])
@pytest.mark.parametrize("fill", ["zero", "uniform", "mean"])
def test_a_variants_key_reads_back(layer, scope, fill):
    knockout = Knockout(layer, scope, fill)
    assert read_variant(variant_key(knockout)) == knockout
    assert read_variant(variant_key(None)) is None


@pytest.mark.parametrize(
    "knockout",
    [Knockout(3, "mlp", also=(7, 12)), Knockout(12, heads=((0, 4),)),
     Knockout(3, also=(12,), heads=((1,), (0, 14)))],
    ids=str,
)  # fmt: skip
def test_the_key_of_several_layers_and_of_heads_reads_back(knockout):
    assert read_variant(variant_key(knockout)) == knockout


def test_an_outcome_once_written_stays(tmp_path):
    with Journal.open(tmp_path / "scores.sqlite", IDENTITY) as journal:
        journal.append([Cell(None, "x", RIGHT)])
        journal.append([Cell(None, "x", Outcome(False, True, "other"))])
        assert journal.outcomes() == {None: {"x": RIGHT}}


def test_another_runs_journal_is_refused_naming_what_differs(tmp_path):
    path = tmp_path / "scores.sqlite"
    Journal.open(path, IDENTITY).close()
    with pytest.raises(TaloError, match=r"task \(recorded 'maps', asked 'flags'\)") as caught:
        Journal.open(path, {**IDENTITY, "task": "flags"})
    assert "model" not in str(caught.value)
    with pytest.raises(TaloError, match=r"seed \(recorded None, asked '1'\)"):
        Journal.open(path, {**IDENTITY, "seed": "1"})


def test_answers_read_by_other_rules_are_not_mixed_with_new_ones(tmp_path):
    generated = {**IDENTITY, "scoring.kind": "generate"}
    for identity, mixed in ((generated, False), (IDENTITY, True)):
        path = tmp_path / f"{identity['scoring.kind']}.sqlite"
        with Journal.open(path, identity) as journal:
            journal.append(cells(3))
        with sqlite3.connect(path) as first_version:
            first_version.execute("DELETE FROM identity WHERE name = 'rules'")
        if mixed:
            Journal.open(path, identity).close()
            continue
        with pytest.raises(TaloError, match=r"read by its own rules.*--fresh"):
            Journal.open(path, identity)
        with Journal.read(path) as journal:
            assert journal.outcomes()
        with Journal.open(path, identity, ask_again=True) as journal:
            assert (journal.asks_again, journal.outcomes()) == (True, {})
            journal.append(cells(3))
        with Journal.open(path, identity, ask_again=True) as journal:
            assert (journal.asks_again, len(journal.outcomes())) == (False, 3)
        with pytest.raises(TaloError, match="seed"):
            Journal.open(path, {**identity, "seed": "1"}, ask_again=True)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "scores.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 50)
    before = path.read_bytes()
    with pytest.raises(TaloError, match="damaged"):
        Journal.open(path, IDENTITY)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "scores.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE outcome (mine)")
    connection.close()
    with pytest.raises(TaloError, match="another program"):
        Journal.open(path, IDENTITY)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)
    connection.close()


def killed_copy(path: Path, to: Path) -> Path:
    """The files as a kill -9 leaves them: the log not folded in."""
    to.mkdir()
    for part in path.parent.glob(path.name + "*"):
        if not part.name.endswith("-shm"):
            shutil.copy(part, to / part.name)
    return to / path.name


def test_a_kill_loses_nothing_that_was_appended(tmp_path):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(40))
        left = killed_copy(path, tmp_path / "killed")
    with Journal.open(left, IDENTITY) as journal:
        assert sum(map(len, journal.outcomes().values())) == 40


@pytest.mark.parametrize("lost", [1, 100, 5000])
def test_a_log_cut_off_in_mid_write_keeps_whole_batches(tmp_path, lost):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(40))
        journal.append(cells(40, start=40))
        left = killed_copy(path, tmp_path / "killed")
    log = left.with_name(left.name + "-wal")
    log.write_bytes(log.read_bytes()[:-lost])
    with Journal.open(left, IDENTITY) as journal:
        kept = sum(map(len, journal.outcomes().values()))
        assert kept in (0, 40)
        journal.append(cells(80))
        assert sum(map(len, journal.outcomes().values())) == 80


def test_a_database_cut_off_in_its_middle_is_called_damaged(tmp_path):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(400))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TaloError, match="damaged"), Journal.open(path, IDENTITY) as journal:
        journal.outcomes()


def test_a_full_disk_is_one_sentence_and_keeps_what_was_committed(tmp_path):
    path = tmp_path / "scores.sqlite"
    with Journal.open(path, IDENTITY) as journal:
        journal.append(cells(10))
        journal._connection.execute("PRAGMA max_page_count=6")  # SQLite's own model of a full disk
        with pytest.raises(TaloError, match="disk is full"):
            journal.append(cells(5000, start=10))
    with Journal.open(path, IDENTITY) as journal:
        assert sum(map(len, journal.outcomes().values())) == 10


def test_a_missing_directory_is_one_sentence(tmp_path):
    with pytest.raises(TaloError, match="cannot be opened"):
        Journal.open(tmp_path / "absent" / "scores.sqlite", IDENTITY)
