"""Numbers said in words or as powers, rewritten in digits: "minus seven", "one hundred", `10^3`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
         "eighteen", "nineteen")  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {word: n for n, word in enumerate(("zero", *UNITS, *TEENS))}
VALUES |= {word: 10 * n for n, word in enumerate(TENS, start=2)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
         "eighth": 8, "tenth": 10}  # fmt: skip

DIGITS = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"


def _any(words: Iterable[str]) -> str:
    return rf"(?:{'|'.join(words)})"


LOW = rf"(?:{_any(TENS)}(?:[\s-]{_any(UNITS)})?|{_any(TEENS)}|{_any(UNITS)})\b"
HUNDREDS = rf"(?:(?:(?:{LOW}|a)[\s-])hundred\b(?:\s(?:and\s)?{LOW})?|{LOW})"
CARDINAL = (
    rf"(?:(?:{HUNDREDS}|a)[\s-]{_any(SCALES)}\b"
    rf"(?:,?\s(?:and\s)?{HUNDREDS}(?:\s{_any(SCALES)}\b)?){{0,3}}"
    rf"|(?:{LOW}|a)\sdozen\b|{HUNDREDS}|zero\b)"
)
PRONOUN = r"(?<!the )(?<!this )(?<!that )(?<!which )(?<!no )(?<!each )(?<!any )"
SPELT = re.compile(
    rf"{PRONOUN}\b(?P<whole>{CARDINAL})(?:\spoint(?P<digits>(?:\s{_any(('zero', *UNITS))}\b)+))?"
    rf"(?:[\s-](?P<part>{_any(PARTS)})s?\b)?",
    re.IGNORECASE,
)
MINUS = re.compile(r"(?<![\w.])(?<!\d )(?:minus|negative)\s+(?=[\d.])", re.IGNORECASE)
SCALED = re.compile(rf"(?<![\w.])({DIGITS})\s?(hundred|{_any(SCALES)})\b", re.IGNORECASE)
EXPONENT = r"\s?(?:\^|\*\*)\s?[{(]?\s?([-+]?\d{1,9})\s?[)}]?"
SCIENTIFIC = re.compile(rf"(?<![\w.])({DIGITS})\s?(?:[×x·⋅*]|\\times|\\cdot)\s?10{EXPONENT}")
POWER = re.compile(rf"(?<![\w.)])({DIGITS}){EXPONENT}")
MIXED = re.compile(r"(?<![\w.,/])(\d{1,9})\s(\d{1,9})/(\d{1,9})(?![\w/])")


def in_digits(text: str) -> str:
    """The text with numbers in words, powers and mixed fractions written as plain numbers."""
    text = MINUS.sub("-", SPELT.sub(_spelt, text))
    text = SCIENTIFIC.sub(lambda m: _shown(m, lambda: _number(m[1]) * 10.0 ** int(m[2])), text)
    text = POWER.sub(lambda m: _shown(m, lambda: _power(_number(m[1]), int(m[2]))), text)
    text = MIXED.sub(lambda m: _shown(m, lambda: int(m[1]) + int(m[2]) / int(m[3])), text)
    return SCALED.sub(
        lambda m: _shown(m, lambda: _number(m[1]) * (SCALES | {"hundred": 100})[m[2].casefold()]),
        text,
    )


def _spelt(match: re.Match[str]) -> str:
    value = float(_cardinal(match["whole"]))
    digits = "".join(str(VALUES[word]) for word in (match["digits"] or "").casefold().split())
    if digits:
        value += int(digits) / 10 ** len(digits)
    if match["part"] and value >= 10:
        return match.group()  # "twenty-fifth" is a place in a row.
    if match["part"]:
        return f"{value:.0f}/{PARTS[match['part'].casefold()]}"
    return _text(value)


def _cardinal(text: str) -> int:
    total = current = 0
    for word in re.findall("[a-z]+", text.casefold()):
        if word in SCALES:
            total, current = total + (current or 1) * SCALES[word], 0
        elif word in ("hundred", "dozen"):
            current = (current or 1) * (100 if word == "hundred" else 12)
        else:
            current += VALUES.get(word, 0)
    return total + current


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _power(base: float, exponent: int) -> float:
    # A sign before a power is the power's: -2^2 is -4.
    return math.copysign(abs(base) ** exponent, base)


def _shown(match: re.Match[str], value: Callable[[], float]) -> str:
    """The number in digits; what was there where it has no finite value."""
    try:
        number = value()
    except (ArithmeticError, ValueError):
        return match.group()
    return _text(number) if math.isfinite(number) else match.group()


def _text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
