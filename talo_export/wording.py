"""How numbers are written, the same in the terminal, in figures, on the card and on the page.

A share has a space before its sign, as the SI brochure asks. Minus is the hyphen, as in CSV: found
by a search, copied into a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence


def percent(fraction: float, digits: int = 1) -> str:
    """0.611 -> `61.1 %`; with no digits after the point `61 %`."""
    return f"{100 * fraction:.{digits}f} %"


def signed(fraction: float) -> str:
    """0.05 -> `+5.0`; a value that rounds to zero has no sign."""
    number = f"{100 * fraction:.1f}"
    if float(number) == 0:
        return "0.0"
    return f"+{number}" if fraction > 0 else number


def points(fraction: float) -> str:
    """0.05 -> `+5.0 points`."""
    return f"{signed(fraction)} points"


def interval(ci95: tuple[float, float]) -> str:
    """(0.01, 0.09) -> `95 % interval +1.0 to +9.0`."""
    return f"95 % interval {signed(ci95[0])} to {signed(ci95[1])}"


def measured(accuracy: float | None, spread: float | None, not_done: str | None) -> str:
    """`61.1 % ± 2.0 (1 of 3 diverged)`; what was never tested says why instead of a number."""
    if accuracy is None:
        return not_done or "not tested"
    return (
        percent(accuracy)
        + (f" ± {100 * spread:.1f}" if spread is not None else "")
        + (f" ({not_done})" if not_done else "")
    )


def p_value(p: float) -> str:
    """0.0123 -> `0.012`; what is too small to tell is a bound."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def size(n_bytes: int) -> str:
    """2359296 -> `2.25 MiB`."""
    value, units = float(n_bytes), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 999.5 else f"{value:.3g} {units[0]}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """2, `tensor` -> `2 tensors`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first names, and how many more there are: `a, b and 7 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def one_line(text: str) -> str:
    """Text from elsewhere on one line, without characters that cannot be printed."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def last_part(name: str) -> str:
    """Of a path or a Hub id: no card, page or figure shows where a directory lies on a machine."""
    return name.replace("\\", "/").rstrip("/").split("/")[-1] or name


def first_line(text: str) -> str:
    """What a library says, at length, cut to its first line: a sentence of ours is one line."""
    return next((line.strip().rstrip(".") for line in text.splitlines() if line.strip()), "")


def tick(fraction: float) -> str:
    """0.05 -> `+5`, 0.125 -> `+12.5`: a label of an axis in points."""
    text = f"{abs(100 * fraction):.2f}".rstrip("0").rstrip(".")
    return text if text == "0" else ("+" if fraction > 0 else "-") + text
