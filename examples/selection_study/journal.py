"""A sweep's journal: one line an item, appended and flushed, so a kill loses one item at most."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cuts import FAMILIES, Cut
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Line:
    """An item's log-shares, (cuts, choices) in nats."""

    item: str
    cuts: Sequence[Cut]
    shares: NDArray[np.float32]


def append(path: Path, line: Line) -> None:
    """Write a line at the journal's end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Four decimals are a tenth of what two ways of computing the same score differ by.
    row = {
        "item": line.item,
        "cuts": [cut.row for cut in line.cuts],
        "shares": [[round(float(share), 4) for share in shares] for shares in line.shares],
    }
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" * torn + json.dumps(row) + "\n")


def read(path: Path) -> list[Line]:
    """The lines that were written whole."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(text)
        except json.JSONDecodeError:  # a write that was cut off
            continue
        cuts = [Cut(FAMILIES[family], layer, second) for family, layer, second in row["cuts"]]
        lines.append(Line(row["item"], cuts, np.array(row["shares"], dtype=np.float32)))
    return lines
