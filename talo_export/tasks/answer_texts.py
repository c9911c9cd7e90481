"""A choice, or a free answer, said in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from talo_export.tasks.plain_text import ARTICLES, normalised, words_of

LONG = 30
"""Words beyond which an option's text may be mentioned without being the answer."""

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
    r"\banswers?\b[^.\n]{0,40}?(?:\b(?:is|are|would be)\b|[:=])|\b(?:is|are|was|were)\b|[:=]",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether the text says that there is no answer."""
    return REFUSAL.search(text) is not None


def choice_of_text(text: str, choices: Sequence[str]) -> int | None:
    """The one choice that the text says: as a whole, first of all, after "is", or alone within.

    Nothing where several could be meant, where it is denied, or where a long text only mentions
    it. Choices that spell the same are one.
    """
    texts = [normalised(choice) for choice in choices]
    for said in _sayings(text, refused=is_refusal(text)):
        same = [i for i, choice in enumerate(texts) if choice == said and choice]
        if same and len({texts[i] for i in same}) == 1:
            return same[0]
    if is_refusal(text):
        return None
    if set(texts) <= {"yes", "no", "true", "false"}:
        opening = _opening(text, texts)
        return opening if opening is not None else _within(text, texts)
    if len(words_of(text)) > LONG:
        return None
    return _within(text, texts)


def says_accepted(text: str, accepted: Sequence[str]) -> bool:
    """Whether a free answer is one of the accepted texts, alone or after "is"."""
    wanted = {normalised(choice) for choice in accepted}
    return any(said in wanted for said in _sayings(text, refused=is_refusal(text)))


def _sayings(text: str, *, refused: bool) -> list[str]:
    """What may be the answer itself: the whole, its first line and sentence, what follows "is"."""
    first_line = text.split("\n", 1)[0]
    sentence = re.split(r"(?<=[.!?])\s", first_line, maxsplit=1)[0]
    parts = [text, first_line, sentence]
    # "I cannot tell whether it is Rome" states nothing.
    for piece in () if refused else (text.strip().rsplit("\n", 1)[-1], sentence):
        for match in STATEMENT.finditer(piece):
            parts.append(re.split(r"(?<=[a-z0-9)])[.!?;](?:\s|$)|\n", piece[match.end() :])[0])
    return [said for part in parts if (said := normalised(part))]


def _opening(text: str, texts: Sequence[str]) -> int | None:
    words = words_of(text)
    opening = [i for i, choice in enumerate(texts) if words[:1] == [choice]]
    return opening[0] if len(opening) == 1 and words[1:2] not in (["and"], ["or"]) else None


def _within(text: str, texts: Sequence[str]) -> int | None:
    words = words_of(NO_IDIOMS.sub(" ", text.casefold()))
    present: set[str] = set()
    for choice in sorted(set(texts), key=len, reverse=True):
        parts = choice.split()
        position = _find(words, parts)
        while parts and position is not None:
            before = [
                word for word in words[max(0, position - 3) : position] if word not in ARTICLES
            ]
            if not DENIALS & set(before[-2:]):
                present.add(choice)
            # A shorter choice inside a longer one ("York" in "New York") is not said by it.
            words[position : position + len(parts)] = ["\0"]
            position = _find(words, parts)
    return texts.index(present.pop()) if len(present) == 1 else None


def _find(words: Sequence[str], parts: Sequence[str]) -> int | None:
    for position in range(len(words) - len(parts) + 1):
        if list(words[position : position + len(parts)]) == list(parts):
            return position
    return None
