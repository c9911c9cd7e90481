"""A choice, or a free answer, said in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from talo_export.tasks.answer_numbers import number_of
from talo_export.tasks.plain_text import (
    ARTICLES,
    exact,
    loose,
    plain,
    typed_alike,
    words_of,
    written,
)

LONG = 30
"""Words beyond which an option's text may be mentioned without being the answer."""
LONGEST, MOST = 2000, 8
"""Characters of a saying, and statements at each end of a line, that are looked at."""

UNABLE = (
    r"can(?:no|')t|can not|could not|couldn't|unable to|not able to|not possible to|"
    r"impossible to|hard to|difficult to"
)
TO_ANSWER = (
    r"determine|tell|see|identify|answer|assist|help|say|provide|know|view|access|"
    r"be determined|be identified|be answered"
)
REFUSAL = re.compile(
    rf"\b(?:(?:i'm|i am) sorry|sorry,|i apologi[sz]e|as an ai\b|"
    rf"(?:{UNABLE})\s+(?:\w+\s+){{0,2}}?(?:{TO_ANSWER})|"
    r"i (?:do not|don't) (?:know|see|have)|no (?:image|picture) (?:was|is|has)|"
    r"(?:not enough|insufficient) information|none of the (?:above|options|choices|given))",
    re.IGNORECASE,
)
DENIALS = {"not", "never", "neither", "nor", "isn't", "aren't", "wasn't", "without",
           "except", "than", "cannot", "unlike"}  # fmt: skip
NO_IDIOMS = re.compile(
    r"\bno (?:idea|doubt|way|information|image|picture|clear|one|longer|specific|need)\b"
)
STATEMENT = re.compile(
    r"\banswers?\b[^.\n]{0,40}?(?:\b(?:is|are|would be)\b|[:=])|\b(?:is|are|was|were)\b|[:=]"
    r"|\b(?:it|that|this|there|here|he|she|they|we)'(?:s|re)\b",
    re.IGNORECASE,
)
HEDGE = re.compile(
    r"^(?:(?:well|sure|yes|so|hence|thus|therefore),? |(?:i (?:think|believe|guess)|i'd say|"
    r"i would say|(?:most )?likely|probably|certainly|definitely|perhaps|maybe),? (?:that )?)+",
    re.IGNORECASE,
)
END = re.compile(r"(?<=[\w)\]}\"'%°#+])[.!?;](?:\s|$)|\n")
SHORT_WORDS = {
    "ad", "ah", "am", "an", "as", "at", "be", "by", "cd", "dc", "do", "eu", "go", "he", "hi",
    "id", "if", "in", "is", "it", "me", "my", "no", "of", "oh", "ok", "on", "or", "pc", "pm",
    "so", "to", "tv", "uk", "un", "up", "us", "we",
}  # fmt: skip
"""Words of two letters; elsewhere two letters are a sign, whose case counts (Mg, mg; Ff, FF)."""


def is_refusal(text: str) -> bool:
    """Whether the text says that there is no answer."""
    return REFUSAL.search(text) is not None


def choice_said_exactly(text: str, choices: Sequence[str]) -> int | None:
    """The choice that the whole text is, character for character, quotes or emphasis aside."""
    texts = [exact(choice) for choice in choices]
    return next((texts.index(said) for said in _layers(exact(text)) if said in texts), None)


def choice_of_text(text: str, choices: Sequence[str]) -> int | None:
    """The one choice that the text says: as a whole, first of all, after "is", or alone within.

    Each reading is tried from the strictest to the loosest, and where one leaves several choices
    nothing is read; nothing either where a choice is denied, or where a long text only mentions
    it. Choices that are equal are one.
    """
    refused = is_refusal(plain(text))
    keys = [[key(choice) for choice in choices] for key in KEYS]
    for saying in _sayings(text, refused=refused):
        for key, texts in zip(KEYS, keys, strict=True):
            said = key(saying)
            same = [i for i, choice in enumerate(texts) if choice == said != ""]
            if same and len({keys[0][i] for i in same}) == 1:
                return same[0]
            if same:
                break
    if refused:
        return None
    numbers = [number_of(choice) for choice in choices]
    whole = plain(text)
    for saying in (whole, *_stated(whole)):
        number = number_of(written(saying).strip("()"))
        same = [i for i, value in enumerate(numbers) if value == number is not None]
        if len({keys[0][i] for i in same}) == 1:
            return same[0]
        if number is not None and saying == whole:
            # A sign or a unit, which the words below are without, makes another choice of it.
            return None
    words = words_of(text)
    spoken = keys[-1]
    if set(spoken) <= {"yes", "no", "true", "false"}:
        opening = [i for i, choice in enumerate(spoken) if words[:1] == [choice]]
        if len(opening) == 1 and words[1:2] not in (["and"], ["or"]):
            return opening[0]
    elif len(words) > LONG:
        return None
    return _within(text, choices)


def says_accepted(text: str, accepted: Sequence[str]) -> bool:
    """Whether a free answer is one of the accepted texts, alone or after "is".

    Case, spacing, articles and punctuation behind words are free; signs and brackets are not.
    """
    wanted = {key for choice in accepted for key in _accepted_keys(choice)}
    sayings = _sayings(text, refused=is_refusal(plain(text)))
    return any(not wanted.isdisjoint(_accepted_keys(saying)) for saying in sayings)


def _folded(text: str) -> str:
    return written(text).casefold()


KEYS = (exact, written, _folded, loose)
"""Ways to say that an answer is a choice, from the strictest on."""


def _accepted_keys(text: str) -> set[str]:
    key = written(text)
    if not re.fullmatch(r"[A-Za-z]{2}", key) or key.casefold() in SHORT_WORDS:
        key = key.casefold()
    spoken = re.sub(r"(?<=[^\W\d_]{2})[.,;:?\"]+(?=\s|\w|$)", " ", key)
    return {exact(text), key, " ".join(spoken.split())} - {""}


def _layers(text: str) -> Iterator[str]:
    """The text, then without one pair of quotes or marks around it after the other."""
    while text:
        yield text
        match = re.fullmatch(r"(\*{1,3}|_{1,2}|`{1,3}|[\"'$])(\S|\S.*\S)\1[.]?", text, re.DOTALL)
        if match is None:
            return
        text = match.group(2)


def _sayings(text: str, *, refused: bool) -> list[str]:
    """What may be the answer itself: the whole, its first line and sentence, what follows "is".

    As it was written first, then without Markdown, in which signs may be lost.
    """
    parts: list[str] = []
    for whole in dict.fromkeys((exact(text), plain(text))):
        first_line = whole.split("\n", 1)[0]
        sentence = re.split(r"(?<=[.!?])\s", first_line, maxsplit=1)[0]
        parts += [whole, first_line, sentence]
        # "I cannot tell whether it is Rome" states nothing.
        for piece in () if refused else (whole.rsplit("\n", 1)[-1], sentence):
            parts += _stated(piece)
    parts += [HEDGE.sub("", part) for part in parts if len(part) < LONGEST and HEDGE.match(part)]
    sayings = [layer for part in parts for layer in _layers(part.strip()[:LONGEST])]
    return list(dict.fromkeys(sayings))


def _stated(text: str) -> list[str]:
    """What follows "is" and the like, to its end, wherever the text states something."""
    ends = [match.end() for match in STATEMENT.finditer(text)]
    return [END.split(text[end:], maxsplit=1)[0] for end in ends[:MOST] + ends[-MOST:]]


def _within(text: str, choices: Sequence[str]) -> int | None:
    words = words_of(NO_IDIOMS.sub(" ", typed_alike(text).casefold()))
    present: set[str] = set()
    for said in sorted({loose(choice) for choice in choices}, key=len, reverse=True):
        parts = said.split()
        position = _find(words, parts)
        while parts and position is not None:
            before = [
                word for word in words[max(0, position - 3) : position] if word not in ARTICLES
            ]
            if not DENIALS & set(before[-2:]):
                present.add(said)
            # A shorter choice inside a longer one ("York" in "New York") is not said by it.
            words[position : position + len(parts)] = ["\0"]
            position = _find(words, parts)
    if len(present) != 1:
        return None
    return _as_written(text, choices, [i for i, c in enumerate(choices) if loose(c) in present])


def _as_written(text: str, choices: Sequence[str], same: Sequence[int]) -> int | None:
    """Which of some choices that differ in case or punctuation alone stands in the text so."""
    by_text = {exact(choices[i]): i for i in reversed(same)}
    if len(by_text) == 1:
        return same[0]
    standing = []
    for choice in sorted(by_text, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(choice)}(?!\w)"
        text, times = re.subn(pattern, "\0", text)
        standing += [by_text[choice]] * bool(times)
    return standing[0] if len(standing) == 1 else None


def _find(words: Sequence[str], parts: Sequence[str]) -> int | None:
    for position in range(len(words) - len(parts) + 1):
        if list(words[position : position + len(parts)]) == list(parts):
            return position
    return None
