"""Several processes, on one host or many, that share a sweep: our rank among them, and gathering.

Started by `torchrun` or `accelerate launch`, which set RANK and WORLD_SIZE. Each process loads the
model and answers its share of the items; their answers are gathered at the end. Answers do not
depend on who gives them, so the outcome is that of one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch.distributed as dist

from talo_export.errors import TaloError

Result = TypeVar("Result")
TIMEOUT = timedelta(hours=12)
"""How long a process waits for the others' shares; one that dies is noticed at once."""


@dataclass(frozen=True, slots=True)
class World:
    """Our place among the processes. `rank` counts from 0; `size` 1 is a process by itself."""

    rank: int = 0
    size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes results: exactly one does."""
        return self.rank == 0

    def all_gather(self, compute: Callable[[], Result]) -> list[Result]:
        """Run `compute` here, and return what every process computed, in order of rank.

        An error of one process is raised in all of them, so that none waits for ever.
        """
        if self.size == 1:
            return [compute()]
        result, failure, sentence = None, None, None
        try:
            result = compute()
        except Exception as error:  # noqa: BLE001 - raised again below, here and in all others
            failure, sentence = error, _sentence(error)
        gathered: list[Any] = [None] * self.size
        try:
            dist.all_gather_object(gathered, (result, sentence))
        except (RuntimeError, dist.DistError) as error:
            if failure is not None:
                raise failure from error
            raise TaloError(
                "another process of this sweep ended before its share was done. Nothing that was "
                "answered is lost: run the same line again."
            ) from error
        if failure is not None:
            raise failure
        for rank, (_, problem) in enumerate(gathered):
            if problem is not None:
                raise TaloError(f"process {rank} of this sweep failed: {problem}")
        return [result for result, _ in gathered]

    def on_all_ranks(self, compute: Callable[[], Result]) -> Result:
        """Run `compute` in every process, each for itself; an error of one is raised in all."""
        own: list[Result] = []
        self.all_gather(lambda: own.append(compute()))
        return own[0]

    def on_rank_zero(self, compute: Callable[[], Result]) -> Result:
        """Run `compute` in the first process alone; all get its result, or its error."""
        (result, *_) = self.all_gather(lambda: compute() if self.is_rank_zero else None)
        return cast(Result, result)


def _sentence(error: Exception) -> str:
    """How the other processes hear of an error: as it is, or with its kind if unforeseen."""
    return str(error) if isinstance(error, TaloError) else f"{type(error).__name__}: {error}"


ALONE = World()


def join_world() -> World:
    """Our place, joining the others first where a launcher started several processes."""
    if not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return ALONE
        dist.init_process_group("gloo", timeout=TIMEOUT)
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined_world() -> Iterator[World]:
    """Our place while the block runs. Leaving it early is noticed by the others."""
    world = join_world()
    try:
        yield world
    finally:
        if world.size > 1 and dist.is_initialized():
            dist.destroy_process_group()
