"""Standing in for a module's forward, and putting everything back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Forward = Callable[..., Any]
Place = tuple["nn.Module", str, Callable[[Forward], Forward]]
"""A module, the name of one of its methods, and what makes the stand-in."""


@contextmanager
def replaced(module: nn.Module, name: str, wrap: Callable[[Forward], Forward]) -> Iterator[None]:
    """Replace a method of one module by `wrap(method)` until the block ends.

    Set on the instance, as accelerate's hooks are: what stood there before, the class's method or
    another stand-in, is called through and comes back. The stand-in keeps the method's signature
    and marks, which libraries look at.
    """
    before = module.__dict__.get(name)
    method = getattr(module, name)
    setattr(module, name, functools.wraps(method)(wrap(method)))
    try:
        yield
    finally:
        if before is None:
            delattr(module, name)
        else:
            setattr(module, name, before)


@contextmanager
def all_replaced(places: Sequence[Place]) -> Iterator[None]:
    """`replaced` for several places at once."""
    with ExitStack() as stack:
        for module, name, wrap in places:
            stack.enter_context(replaced(module, name, wrap))
        yield
