"""Numbers in answers: written with digits, separators, fractions or as small words."""

from __future__ import annotations

import re

DIGITS = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"
NUMBER = (
    rf"(?<![\w.])(?<!\d,)(?:{DIGITS})(?:\s*/\s*\d+(?![\w.]))?(?!\w|[.,]\d)"
    rf"|(?<![\w.])(?<!\d,)(?:{DIGITS})(?=[a-zA-Z%°])"
)
# fmt: off
SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)
# fmt: on
SPELT = re.compile(rf"\b({'|'.join(SMALL)})\b", re.IGNORECASE)
STATED = re.compile(
    r"\banswer\b[^\n]{0,40}?(?:\bis\b|[:=])|[=≈]|\b(?:therefore|thus|so|hence|total:)",
    re.IGNORECASE,
)
DENIED = re.compile(rf"\b(?:not|rather than|instead of)\s+(?:{NUMBER})", re.IGNORECASE)
GOES_ON = re.compile(r"\s*(?:[-+*/×x=]|,|or\b|and\b|to\b)\s*\d|[.)]\s")
"""Behind a number that opens a text: a sum, a list, a range, or the number of a list's item."""


def number_of(text: str) -> float | None:
    """The number that a whole text is: `1,234`, `45%`, `1/2`, `three`, `$12`; None if it is not."""
    bare = text.strip().strip("$€£").rstrip("%°.").strip().casefold()
    if bare in SMALL:
        return float(SMALL.index(bare))
    return _value(bare) if re.fullmatch(NUMBER, bare) else None


def stated_number(text: str) -> float | None:
    """The number that a text gives as its answer; None if there is none or it is not clear.

    In this order: the only one in it, the only one after the last "answer is", "=" or "so", the
    one it begins with, the only one in its last sentence.
    """
    digits = SPELT.sub(lambda match: str(SMALL.index(match[1].casefold())), text)
    digits = DENIED.sub("", digits)
    for part in (digits, *_after_statements(digits)):
        values = _values(part)
        if len(values) == 1:
            return values.pop()
    opening = re.match(rf"[^\w+.-]{{0,2}}({NUMBER})", digits)
    if opening and not GOES_ON.match(digits, opening.end()):
        return _value(opening.group(1))
    values = _values(re.split(r"(?<=[.!?])\s+|\n", digits.strip())[-1])
    return values.pop() if len(values) == 1 else None


def _values(text: str) -> set[float]:
    return {_value(found) for found in re.findall(NUMBER, text)}


def _after_statements(text: str) -> list[str]:
    """What follows each "answer is", "=" and the like, the last first, to the end of the line."""
    ends = [match.end() for match in STATED.finditer(text)]
    return [text[end:].split("\n", 1)[0] for end in reversed(ends)]


def _value(text: str) -> float:
    top, slash, bottom = text.replace(",", "").partition("/")
    if slash and float(bottom) != 0:
        return float(top) / float(bottom)
    return float(top)
