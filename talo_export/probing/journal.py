"""The journal of a run: outcomes written down as they come, so that a kill loses nothing.

One SQLite file in write-ahead mode, one row an outcome, one transaction a batch. A row is never
changed or deleted. A process killed at any moment leaves whole transactions only; SQLite drops a
torn tail by its checksums when the file is next opened. The identity of the run (model, task,
scoring, ...) is stored with the outcomes, and a journal of another run is never read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from talo_export.errors import TaloError
from talo_export.knockout import Fill, Knockout, Scope, knockout_of
from talo_export.probing.distributed import World
from talo_export.probing.scores import Outcome
from talo_export.tasks.answers import RULES

FORMAT = "1"
APPLICATION_ID = 0x74616C6F  # "talo": tells our files from other SQLite files.

SCHEMA = """
CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outcome (
    variant TEXT NOT NULL, item TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (variant, item)
) WITHOUT ROWID;
"""

Outcomes = dict["Knockout | None", dict[str, Outcome]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One outcome with its place: which variant (None: the base) answered which item."""

    variant: Knockout | None
    item_id: str
    outcome: Outcome


class Journal:
    """An open journal. Use as a context manager, or call `close`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, reading: bool = False
    ) -> None:
        self.path = path
        self.asks_again = False
        """Whether answers that another version read by its own rules were left out."""
        self._connection = connection
        self._reading = reading

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, str], *, ask_again: bool = False) -> Journal:
        """Open or create the journal of the run that `identity` (name -> value) describes.

        With `ask_again` answers that another version read by its own rules are left out, so that
        no result mixes the two. Raises TaloError where the file holds another run's outcomes
        (naming what differs), is not a journal, is damaged, or cannot be written.
        """
        wanted = {"format": FORMAT, **identity}
        if identity.get("scoring.kind") == "generate":
            wanted["rules"] = RULES
        with _explained(path):
            connection = sqlite3.connect(path, timeout=30)
        try:
            with _explained(path):
                left_out = _prepare(path, connection, wanted, ask_again)
        except TaloError:
            connection.close()
            raise
        journal = cls(path, connection)
        journal.asks_again = left_out
        return journal

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Open an existing journal for reading, whatever run it is of.

        Raises TaloError where there is none or it is damaged.
        """
        if not path.is_file():
            raise TaloError(f"{path} does not exist: the run has no scores; probe it again.")
        with _explained(path):
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            return cls(path, connection, reading=True)

    @classmethod
    def open_own(cls, path: Path, identity: Mapping[str, str], world: World) -> Journal:
        """The journal of this process: `path` itself for rank zero, one beside it for others.

        The first also takes over what journals beside it hold, so that a run goes on whatever the
        number of processes was before and is now; answers by other rules are asked again. Every
        process of the world calls this.
        """
        own: list[Journal] = []

        def open_mine() -> None:
            own.append(cls._open_mine(path, identity, world))

        try:
            # One after the other: the first reads files that the others are about to write.
            world.all_gather(open_mine if world.is_rank_zero else _nothing)
            world.all_gather(_nothing if world.is_rank_zero else open_mine)
        except TaloError:
            for journal in own:
                journal.close()
            raise
        return own[0]

    @classmethod
    def _open_mine(cls, path: Path, identity: Mapping[str, str], world: World) -> Journal:
        if not world.is_rank_zero:
            mine = path.with_name(f"{path.name}.rank-{world.rank}")
            return cls.open(mine, identity, ask_again=True)
        journal = cls.open(path, identity, ask_again=True)
        try:
            for beside in sorted(path.parent.glob(f"{path.name}.rank-*")):
                if beside.suffix.removeprefix(".rank-").isdigit():
                    with cls.open(beside, identity, ask_again=True) as other:
                        journal.append_all(other.outcomes())
        except TaloError:
            journal.close()
            raise
        return journal

    def append_all(self, outcomes: Mapping[Knockout | None, Mapping[str, Outcome]]) -> None:
        """Write whole outcomes down; those that are there already stay."""
        self.append(
            Cell(variant, item_id, outcome)
            for variant, seen in outcomes.items()
            for item_id, outcome in seen.items()
        )

    def append(self, cells: Iterable[Cell]) -> None:
        """Write cells down, all or none. A cell that is there already stays as it is."""
        rows = [
            (variant_key(cell.variant), cell.item_id, json.dumps(asdict(cell.outcome)))
            for cell in cells
        ]
        with _explained(self.path), self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO outcome VALUES (?, ?, ?)", rows)

    def outcomes(self) -> Outcomes:
        """Everything written so far, by variant and item id."""
        outcomes: Outcomes = {}
        with _explained(self.path):
            for variant, item, text in self._connection.execute("SELECT * FROM outcome"):
                outcomes.setdefault(read_variant(variant), {})[item] = _read_outcome(text)
        return outcomes

    def close(self) -> None:
        """Fold the write-ahead log into the file, which then is the whole journal.

        Left in write-ahead mode, every later reader would put two files beside it again. One that
        was opened for reading stays as it is: its file cannot be locked to be changed.
        """
        if self._reading:
            self._connection.close()
            return
        with _explained(self.path):
            try:
                self._connection.execute("PRAGMA busy_timeout=0")
                self._connection.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.OperationalError as error:
                # Somebody else has it open: the log stays.
                if "locked" not in str(error):
                    raise
            finally:
                self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _nothing() -> None:
    """What a process does in the turn of another."""


def variant_key(variant: Knockout | None) -> str:
    """Text that stands for a variant in the journal: `base`, `attention/zero/12`, `mlp/zero/3+7`,
    `attention/zero/12:0,4`."""
    if variant is None:
        return "base"
    places = list(map(str, variant.layers))
    for at, heads in enumerate(variant.heads):
        places[at] += ":" + ",".join(map(str, heads))
    return f"{variant.scope}/{variant.fill}/{'+'.join(places)}"


def read_variant(key: str) -> Knockout | None:
    """Inverse of `variant_key`."""
    if key == "base":
        return None
    scope, fill, places = key.split("/")
    parts = [place.partition(":") for place in places.split("+")]
    heads = {int(layer): map(int, given.split(",")) for layer, _, given in parts if given}
    layers = [int(layer) for layer, _, _ in parts]
    return knockout_of(layers, cast(Scope, scope), cast(Fill, fill), heads)


def _prepare(
    path: Path, connection: sqlite3.Connection, wanted: Mapping[str, str], ask_again: bool
) -> bool:
    """Make the tables or check whose they are; whether answers by other rules were left out."""
    # In this order: another process may just be making the file, the tables and their mark at once.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    if kind != APPLICATION_ID and tables:
        raise TaloError(f"{path} is a database of another program: name another run directory.")
    # NORMAL keeps every commit over a kill of the process, and a consistent file over a power cut.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    if not tables:
        # Several processes may open a new journal at once: who is second finds it made.
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                rows = sorted(wanted.items())
                connection.executemany("INSERT INTO identity VALUES (?, ?)", rows)
    stored = dict(connection.execute("SELECT * FROM identity"))
    differing = [
        f"{name} (recorded {stored.get(name)!r}, asked {wanted.get(name)!r})"
        for name in sorted({*stored, *wanted})
        if stored.get(name) != wanted.get(name)
    ]
    other_rules = stored.get("rules") != wanted.get("rules")
    if other_rules and ask_again and len(differing) == 1:
        with connection:
            connection.execute("DELETE FROM outcome")
            connection.execute(
                "INSERT OR REPLACE INTO identity VALUES (?, ?)", ("rules", wanted["rules"])
            )
        return True
    if other_rules:
        raise TaloError(
            f"{path} holds answers that another version of talo-export read by its own rules, and "
            "new ones would be mixed with them: probe again with --fresh, or name another "
            "directory with --out."
        )
    if differing:
        raise TaloError(
            f"{path} holds the scores of another run: {'; '.join(differing)}. "
            "Name another directory with --out, or start over with --fresh."
        )
    return False


def _read_outcome(text: str) -> Outcome:
    fields = json.loads(text)
    if fields["scores"] is not None:
        fields["scores"] = tuple(fields["scores"])
    return Outcome(**fields)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in one sentence what SQLite's errors mean for this file."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        text = str(error)
        if "disk is full" in text:
            advice = (
                "the disk is full. Everything committed before is kept: "
                "make room and run the same line again"
            )
        elif "locked" in text:
            advice = "another process is writing it: wait for that run, or name another --out"
        elif "malformed" in text or "not a database" in text:
            advice = f"it is damaged ({text}): start over with --fresh or another --out"
        elif "unable to open" in text or "readonly" in text:
            advice = f"it cannot be opened for writing ({text}): check the directory --out names"
        else:
            advice = f"SQLite reports {text!r} ({code}): check the disk, then run the line again"
        raise TaloError(f"the journal {path} failed: {advice}.") from error
