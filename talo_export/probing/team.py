"""Several processes, on one host or many, that share a sweep: who we are, and telling each other.

Started by `torchrun` or `accelerate launch`, which set RANK and WORLD_SIZE. Each process loads the
model and answers its share of the items; what they found is exchanged at the end. Answers do not
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

Found = TypeVar("Found")
PATIENCE = timedelta(hours=12)
"""How long a process waits for the others' shares; one that dies is noticed at once."""


@dataclass(frozen=True, slots=True)
class Team:
    """Our place among the processes. `rank` counts from 0; `size` 1 is a process by itself."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes results: exactly one does."""
        return self.rank == 0

    def exchange(self, find: Callable[[], Found]) -> list[Found]:
        """Run `find` here, and return what every process found, in order of rank.

        An error of one process is raised in all of them, so that none waits for ever.
        """
        if self.size == 1:
            return [find()]
        found, failure, told_as = None, None, None
        try:
            found = find()
        except Exception as error:  # noqa: BLE001 - raised again below, here and in all others
            failure, told_as = error, _sentence(error)
        told: list[Any] = [None] * self.size
        try:
            dist.all_gather_object(told, (found, told_as))
        except (RuntimeError, dist.DistError) as error:
            if failure is not None:
                raise failure from error
            raise TaloError(
                "another process of this sweep ended before its share was done. Nothing that was "
                "answered is lost: run the same line again."
            ) from error
        if failure is not None:
            raise failure
        for rank, (_, problem) in enumerate(told):
            if problem is not None:
                raise TaloError(f"process {rank} of this sweep failed: {problem}")
        return [result for result, _ in told]

    def together(self, find: Callable[[], Found]) -> Found:
        """Run `find` in every process, each for itself; an error of one is raised in all."""
        own: list[Found] = []
        self.exchange(lambda: own.append(find()))
        return own[0]

    def lead(self, find: Callable[[], Found]) -> Found:
        """Run `find` in the first process alone; all get what it found, or its error."""
        (found, *_) = self.exchange(lambda: find() if self.leads else None)
        return cast(Found, found)


def _sentence(error: Exception) -> str:
    """How the other processes are told of an error: as it is, or with its kind if unforeseen."""
    return str(error) if isinstance(error, TaloError) else f"{type(error).__name__}: {error}"


ALONE = Team()


def join_team() -> Team:
    """Our place, joining the others first where a launcher started several processes."""
    if not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return ALONE
        dist.init_process_group("gloo", timeout=PATIENCE)
    return Team(dist.get_rank(), dist.get_world_size())


@contextmanager
def in_team() -> Iterator[Team]:
    """Our place in the team while the block runs. Leaving it early is noticed by the others."""
    team = join_team()
    try:
        yield team
    finally:
        if team.size > 1 and dist.is_initialized():
            dist.destroy_process_group()
