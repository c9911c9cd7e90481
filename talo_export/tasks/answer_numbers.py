"""Numbers in answers: written with digits, separators, fractions or in words."""

from __future__ import annotations

import math
import re

from talo_export.tasks.number_words import DIGITS, in_digits
from talo_export.tasks.plain_text import typed_alike

NUMBER = (
    rf"(?<![\w.])(?<!\d,)(?:{DIGITS})(?:\s*/\s*\d+(?![\w.]))?(?!\w|[.,]\d)"
    rf"|(?<![\w.])(?<!\d,)(?:{DIGITS})(?=[a-zA-Z%°])"
)
TOTAL = r"total|sum|result|count|number|value|difference|product"
STATED = re.compile(
    rf"\banswer\b[^\n]{{0,40}}?(?:\bis\b|[:=])|[=≈]|\b(?:{TOTAL})\b[^\n\d]{{0,40}}?(?:\bis\b|:)"
    r"|\b(?:therefore|thus|so|hence|altogether|in total|in all|finally)\b",
    re.IGNORECASE,
)
TOLD = re.compile(r"\s*(?:it|that|this|there|they)(?:'s|'re| is| are| was| were)\b", re.IGNORECASE)
DENIED = re.compile(rf"\b(?:not|rather than|instead of)\s+(?:{NUMBER})", re.IGNORECASE)
CHECKED = r"(?:re-?)?(?:checked|counted|verified|looked|tried|measured|computed|calculated|read)"
ASIDE = re.compile(
    rf"\b(?:{CHECKED}\b[^.!?\n\d]{{0,40}}\d+\s+times\b"
    r"|(?:i am|i'm)\s+(?:about\s+)?\d+\s?%\s+(?:sure|certain|confident)"
    r"|confidence\b[^.!?\n\d]{0,10}\d+(?:\.\d+)?\s?%?)",
    re.IGNORECASE,
)
GOES_ON = re.compile(r"\s*(?:[-+*/×x=^]|,|or\b|and\b|to\b)\s*\d|(?<=\b1)[.)]\s")
"""Behind a number that opens a text: a sum, a list, a range, or the number of a list's item."""
MOST = 20
"""Statements that are looked at, from the last on."""
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
SPACED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
"""Thousands apart, as the SI brochure and French write them."""
HALF = {"half": 0.5, "a half": 0.5, "a third": 1 / 3, "a quarter": 0.25}


def number_of(text: str) -> float | None:
    """The number that a whole text is: `1,234`, `45%`, `1/2`, `minus three`, `10^3`, `$12`.

    None if it is none, or none that is finite.
    """
    bare = typed_alike(text).strip().replace("$", "").strip("€£").rstrip("%°.").strip().casefold()
    if bare in HALF:
        return HALF[bare]
    sign, bare = (-1, bare[1:]) if re.match(r"-[€£]", bare) else (1, bare)
    bare = bare.removesuffix("percent").strip("€£ ")
    bare = in_digits(bare.replace(" ", "") if SPACED.fullmatch(bare) else bare)
    value = sign * _value(bare) if re.fullmatch(NUMBER, bare) else math.nan
    return value if math.isfinite(value) else None


def stated_number(text: str) -> float | None:
    """The number that a text gives as its answer; None if there is none or it is not clear.

    In this order: the only one in it, the only or first one of the sentence after the last
    "answer is", "=" or "so", the one it begins with, the only one in its last sentence.
    """
    whole = number_of(text)
    if whole is not None:
        return whole
    digits = re.sub(r"-[$€£](?=\.?\d)", "-", in_digits(text))
    digits = ASIDE.sub("", DENIED.sub("", digits))
    values = _values(digits)
    if len(values) == 1:
        return values.pop()
    for part in _after_statements(digits):
        values = _values(part)
        value = values.pop() if len(values) == 1 else _opening(part)
        if value is not None:
            return value
    value = _opening(digits)
    if value is not None:
        return value
    sentences = SENTENCE.split(digits.strip())
    values, told = _values(sentences[-1]), _values(sentences[0])
    # "There are 42. It took me 3 tries." says two things.
    if TOLD.match(sentences[0]) and not TOLD.match(sentences[-1]) and len(told) == 1:
        values |= told
    return values.pop() if len(values) == 1 else None


def _opening(text: str) -> float | None:
    """The number that a text begins with, if it stands there for itself."""
    match = re.match(rf"[^\w+.-]{{0,3}}({NUMBER})", text)
    return None if match is None or GOES_ON.match(text, match.end()) else _value(match.group(1))


def _values(text: str) -> set[float]:
    return {_value(number) for number in re.findall(NUMBER, text)}


def _after_statements(text: str) -> list[str]:
    """What follows each "answer is", "=" and the like, the last first, to the sentence's end."""
    ends = [match.end() for match in STATED.finditer(text)]
    return [SENTENCE.split(text[end:].lstrip(), maxsplit=1)[0] for end in reversed(ends[-MOST:])]


def _value(text: str) -> float:
    top, slash, bottom = text.replace(",", "").partition("/")
    if slash and float(bottom) != 0:
        return float(top) / float(bottom)
    return float(top)
