"""Text from a file, a model or a server is data, wherever it is shown: here it is made so.

HTML is jinja's own affair: every page is rendered with `autoescape`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet computes (OWASP, CSV injection)."""


_HIDDEN = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e0fff"
)
"""Controls, line separators, marks of direction and other invisible ones, lone surrogates. Not
among them: the blanks of other scripts, and the joiners that some need."""
_MARK = re.compile(f"[{_HIDDEN}]")
_MARK_IN_LINES = re.compile(f"(?![\t\n])[{_HIDDEN}]")


def visible(text: str) -> str:
    """On one line: what cannot be seen is written as its escape.

    So no control sequence reaches a terminal, no line is forged and no direction turned round:
    a line feed becomes a backslash and an n, and U+202E its own number.
    """
    return _MARK.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same of text whose lines and tabs are wanted."""
    return _MARK_IN_LINES.sub(_escape, text)


def json_text(text: str) -> str:
    """JSON that no terminal obeys: the same values, with escapes for what cannot be seen."""
    return _MARK_IN_LINES.sub(_json_escape, text)


def markdown(text: str) -> str:
    """On one line and inert: no markup, no HTML, no new table column."""
    inert = " ".join(visible(text).split())
    for mark in "\\`*_[]<>|":
        inert = inert.replace(mark, "\\" + mark)
    return inert


def code(text: str) -> str:
    """A code span of Markdown, also in a table."""
    inert = visible(text).replace("|", "\\|")
    longest = max(map(len, re.findall("`+", inert)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{inert}{space}{fence}"


def csv_cell(value: object) -> object:
    """A cell on one line that no spreadsheet computes; numbers are left alone."""
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(FORMULA) else visible(value)


def csv_table(
    columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, end: str = "\n"
) -> str:
    """Rows under their columns as CSV, every cell made inert."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator=end)
    writer.writeheader()
    writer.writerows({key: csv_cell(cell) for key, cell in row.items()} for row in rows)
    return text.getvalue()


def _escape(mark: re.Match[str]) -> str:
    return mark[0].encode("unicode_escape").decode("ascii")


def _json_escape(mark: re.Match[str]) -> str:
    units = mark[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
