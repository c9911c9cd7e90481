"""What a model wrote, as plain text: no Markdown, no special tokens, no thinking aloud."""

from __future__ import annotations

import re
import unicodedata

SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|<end_of_turn>|<eos>|<pad>")
FENCE = re.compile(r"^\s*```[\w+-]*\s*$", re.MULTILINE)
LINE_MARK = re.compile(r"^[ \t]*(?:(?:>|[-+•](?=\s|$))[ \t]*)+", re.MULTILINE)
TAG = re.compile(r"</?(?:answer|b|i|em|strong|p|br|u)\s*/?>", re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text(?:bf|rm)?\s*\{)?([^{}]*)\}?\s*\}")
LATEX = re.compile(r"\\(?:text(?:bf|rm)?|mathrm|mathbf)\s*\{([^{}]*)\}|\\[()\[\]]|\\,")
EMPHASIS = re.compile(r"[*_`#~$]+")
ALIKE = str.maketrans({"−": "-", "’": "'", "‘": "'", "“": '"', "”": '"'})
"""Signs that are typed in two ways."""
ARTICLES = ("the", "a", "an")


def without_thinking(text: str) -> str:
    """The text behind a reasoning model's thoughts; nothing if they never ended."""
    if "</think>" in text:
        return text.rpartition("</think>")[2]
    return text.partition("<think>")[0]


def plain(text: str) -> str:
    """NFKC text without special tokens, Markdown, LaTeX wrapping and outer whitespace.

    A boxed result becomes "answer: ...", which is what it means.
    """
    text = unicodedata.normalize("NFKC", text).translate(ALIKE).replace("\r\n", "\n")
    text = SPECIAL_TOKEN.sub("", without_thinking(text))
    text = BOXED.sub(r" answer: \1 ", FENCE.sub("", TAG.sub("", text)))
    text = LATEX.sub(r"\1", text)
    text = LINE_MARK.sub("", EMPHASIS.sub("", text))
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers, punctuation dropped; apostrophes and decimals stay inside."""
    return re.findall(r"[^\W_]+(?:[.':/-][^\W_]+)*|[^\w\s.,;:!?'\"()\[\]{}-]", text.casefold())


def normalised(text: str) -> str:
    """Words with single spaces, a leading article left out: texts equal in this mean the same."""
    words = words_of(plain(text))
    while len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    return " ".join(words)
