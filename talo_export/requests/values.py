"""The text of an option and the value it stands for, where a type alone does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal

from talo_export.errors import UsageError


def read_batch_size(text: str) -> int | Literal["auto"]:
    """`auto` or a number of items."""
    return "auto" if text == "auto" else _positive(text, "--batch-size", "auto")


def read_shots(text: str) -> int | None:
    """A number of probing items, None for `all`."""
    return None if text == "all" else _positive(text, "--shots", "all")


def write_shots(shots: int | None) -> str:
    """Inverse of `read_shots`."""
    return "all" if shots is None else str(shots)


def read_numbers(text: str) -> tuple[int, ...]:
    """`10,20,50` -> (10, 20, 50), each once, ascending."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--shots is {text!r}; give whole numbers from 1, such as 10,20,50.")
    return tuple(sorted({int(part) for part in parts}))


def read_list(text: str) -> tuple[str, ...]:
    """`lora,dora` -> ("lora", "dora")."""
    return tuple(part.strip() for part in text.split(","))


def write_list(values: tuple[object, ...]) -> str:
    """Inverse of `read_list` and `read_numbers`."""
    return ",".join(map(str, values))


def read_layer(text: str) -> int:
    """One layer's number."""
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        several = re.fullmatch(r"\s*\d+(\s*[,\s-]\s*\d+)+\s*", text, re.ASCII)
        raise UsageError(
            f"--layer is {text!r}; give one number, counted from 0"
            + (", and another --layer for each further layer." if several else ".")
        )
    return int(text)


def read_heads(text: str) -> tuple[int, tuple[int, ...]]:
    """`12:0,4` -> (12, (0, 4)): a layer and heads of its attention."""
    if not re.fullmatch(r"\d+:\d+(,\d+)*", text, re.ASCII):
        raise UsageError(
            f"--heads is {text!r}; give a layer and its heads, counted from 0, such as 12:0,4."
        )
    layer, _, heads = text.partition(":")
    return int(layer), tuple(map(int, heads.split(",")))


def write_heads(heads: tuple[int, tuple[int, ...]]) -> str:
    """Inverse of `read_heads`."""
    return f"{heads[0]}:{write_list(heads[1])}"


def heads_of(
    given: Mapping[int, Iterable[int]] | Iterable[tuple[int, Iterable[int]]] | None,
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """(layer, heads), ascending, each once."""
    by_layer: dict[int, set[int]] = {}
    for layer, heads in given.items() if isinstance(given, Mapping) else given or ():
        by_layer.setdefault(layer, set()).update(heads)
    return tuple((layer, tuple(sorted(by_layer[layer]))) for layer in sorted(by_layer))


def layers_of(given: int | Iterable[int] | None) -> tuple[int, ...]:
    """The layers by their numbers, ascending, each once."""
    if given is None or isinstance(given, int):
        return () if given is None else (given,)
    return tuple(sorted(set(given)))


def read_points(text: str) -> float:
    """Points of accuracy as a share: `5` -> 0.05."""
    try:
        return float(Decimal(text) / 100)
    except InvalidOperation:
        raise UsageError(
            f"--min-gain is {text!r}; give points of accuracy, such as 5 or 2.5."
        ) from None


def write_points(share: float) -> str:
    """Inverse of `read_points`, exactly: 0.05 -> `5`."""
    return f"{(Decimal(repr(share)) * 100).normalize():f}"


def read_memory(text: str) -> dict[str, str]:
    """`0=20GB,cpu=50GB` as a limit for each device: GPUs by their index, `cpu` for the host."""
    limits = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if len(limits) < len(text.split(",")) or not all(map(_is_limit, limits.items())):
        raise UsageError(f"--max-memory is {text!r}; write 0=20GB,cpu=50GB.")
    return limits


def _is_limit(limit: tuple[str, str]) -> bool:
    device, size = limit
    known = device == "cpu" or device.isdigit()
    return known and re.fullmatch(r"\d+([.]\d+)?[KMGT]i?B", size) is not None


def read_columns(text: str) -> dict[str, str]:
    """`question=stem,choices=options` as a mapping from our fields to the data's columns."""
    from talo_export.tasks.columns import parse_columns

    return parse_columns(text)


def write_pairs(pairs: Mapping[str, str]) -> str:
    """Inverse of `read_columns` and `read_memory`."""
    return ",".join(f"{ours}={theirs}" for ours, theirs in pairs.items())


def _positive(text: str, option: str, word: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"{option} is {text!r}; give a whole number from 1, or {word!r}.")
    return int(text)
