"""How a command's table looks: no lines, dim headings, and no text cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def table_of(*columns: str) -> Table:
    """An empty table; `>name` heads a column that is set to the right, as numbers are."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in columns:
        if name.startswith(">"):
            table.add_column(name[1:], justify="right")
        else:
            table.add_column(name, overflow="fold")
    return table
