"""Several processes share a sweep: the same result as one, also when one of them is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from heard import Heard
from probe_models import loaded_llama

from talo_export.errors import TaloError
from talo_export.probing.distributed import World, join_world
from talo_export.probing.journal import Journal
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

LIKELIHOOD = Scoring("likelihood")
START = multiprocessing.get_context("fork")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def work(rank, size, port, folder, items, kill_at, said):
    """One process: sweep with others, then say what came out (or what error was told)."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "localhost",
                   "MASTER_PORT": str(port)}  # fmt: skip
    world = join_world()
    loaded = loaded_llama()
    variants = (None, *all_knockouts(loaded.decoder))

    resumed = []

    def watch(done, total):
        resumed.append(done)
        if rank == 1 and kill_at is not None and done - resumed[0] >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with Journal.open_own(folder / "scores.sqlite", {"task": "t"}, world) as journal:
            result = sweep(
                loaded,
                items,
                variants,
                LIKELIHOOD,
                journal=journal,
                reporter=Heard(watch),
                world=world,
            )
        said.put((rank, result))
    except TaloError as error:
        said.put((rank, str(error)))
    if dist.is_initialized() and kill_at is None:
        dist.destroy_process_group()


def stumble(rank, size, port, said):
    """One process: the second fails in a way that nobody foresaw, then both go on."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "localhost",
                   "MASTER_PORT": str(port)}  # fmt: skip
    world = join_world()
    told = ""
    try:
        world.on_all_ranks(lambda: 1 // (1 - rank))
    except (TaloError, ZeroDivisionError) as error:
        told = f"{type(error).__name__}: {error}"
    said.put((rank, (told, world.on_all_ranks(lambda: 10 + rank))))
    dist.destroy_process_group()


def run_world(size, folder, items, kill_at=None):
    said = START.Queue()
    port = free_port()
    return hear(size, kill_at, said, [
        START.Process(target=work, args=(rank, size, port, folder, items, kill_at, said))
        for rank in range(size)
    ])  # fmt: skip


def hear(size, kill_at, said, crew):
    """Start the processes and collect what they say, by rank."""
    for one in crew:
        one.start()
    heard = dict(said.get(timeout=120) for _ in range(size if kill_at is None else size - 1))
    for one in crew:
        one.join(timeout=60)
    return heard


def written(path):
    with Journal.open(path, {"task": "t"}) as journal:
        return sum(map(len, journal.outcomes().values()))


@pytest.fixture
def expected(make_items):
    loaded = loaded_llama()
    return sweep(loaded, make_items(6), (None, *all_knockouts(loaded.decoder)), LIKELIHOOD)


def same(table, other):
    return table.answers == other.answers and np.array_equal(table.scores, other.scores)


def test_two_processes_give_what_one_gives_to_the_last_bit(tmp_path, make_items, expected):
    heard = run_world(2, tmp_path, make_items(6))
    for rank in (0, 1):
        assert same(heard[rank].table, expected.table)
        assert heard[rank].cost.layer_evaluations == expected.cost.layer_evaluations
    assert written(tmp_path / "scores.sqlite") == 6 * 5
    assert written(tmp_path / "scores.sqlite.rank-1") == 3 * 5


def test_a_killed_process_is_noticed_and_the_run_goes_on(tmp_path, make_items, expected):
    heard = run_world(2, tmp_path, make_items(6), kill_at=10)
    assert "another process of this sweep ended" in heard[0]
    assert written(tmp_path / "scores.sqlite") == 3 * 5
    assert written(tmp_path / "scores.sqlite.rank-1") == 2 * 5
    # Whatever number of processes goes on: here one, which finds what both had written.
    heard = run_world(1, tmp_path, make_items(6))
    assert same(heard[0].table, expected.table)
    assert heard[0].cost.layer_evaluations == 14


def test_an_error_of_one_process_is_told_to_all(tmp_path, make_items):
    items = make_items(4)
    loaded = loaded_llama()
    room = loaded.model.config.max_position_embeddings
    items[1] = type(items[1])(
        id="endless", group="x", question="x" * room, choices=("a", "b"), answer=0
    )
    heard = run_world(2, tmp_path, items)
    assert heard[1].startswith("item 'endless' takes")
    assert heard[0].startswith("process 1 of this sweep failed: item 'endless' takes")


def test_what_nobody_foresaw_in_one_process_is_told_to_all_and_none_falls_out_of_step():
    said, port = START.Queue(), free_port()
    crew = [START.Process(target=stumble, args=(rank, 2, port, said)) for rank in range(2)]
    zero = "ZeroDivisionError: integer division or modulo by zero"
    assert hear(2, None, said, crew) == {
        0: (f"TaloError: process 1 of this sweep failed: {zero}", 10),
        1: (zero, 11),
    }


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_world() == World(0, 1)
    assert join_world().is_rank_zero
