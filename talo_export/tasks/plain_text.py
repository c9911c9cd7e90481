"""Texts as they are compared: equal, written alike, or saying the same words.

Two different texts are two different choices, so `exact` alone says that choices are equal. The
looser forms are for what a model wrote, and each keeps the signs that tell texts apart: `-5` is
not `5`, `C#` not `C`, `10^-3` not `10^3`.
"""

from __future__ import annotations

import re
import unicodedata

SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|<(?:end|start)_of_turn>|<eos>|<pad>")
FENCE = re.compile(r"^\s*```[\w+-]*\s*$", re.MULTILINE)
HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
LINE_MARK = re.compile(r"^[ \t]*(?:(?:>|[-+•*](?=\s|$))[ \t]*)+", re.MULTILINE)
TAG = re.compile(r"</?(?:answer|b|i|em|strong|p|br|u)\s*/?>", re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text(?:bf|rm)?\s*\{)?((?:[^{}]|\{[^{}]*\})*)\}?\s*\}")
LATEX = re.compile(r"\\(?:text(?:bf|rm)?|mathrm|mathbf)\s*\{([^{}]*)\}|\\[()\[\]]|\\,")
FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
DOLLARS = re.compile(r"(?<![^\W_])(?<![$\\])\$(?=\S)([^$\n]*[^\s$])\$(?![^\W_]|\$)")
STRONG = re.compile(r"(?<![^\W_])(?:\*{2,}|_{2,}|~~|`+)|(?:\*{2,}|_{2,}|~~|`+)(?![^\W_])")
"""Marks of Markdown at a word's edge; between two letters they are signs (2**3)."""
WEAK = re.compile(
    r"(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])|(?<!\w)_(?=[^\s_])([^\n_]*[^\s_])_(?!\w)"
    r"|^[ \t]*_[ \t]*(\S[^\n_]*)_[ \t]*$",
    re.MULTILINE,
)
ALIKE = str.maketrans({"−": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\u2044": "/"})
"""Signs that are typed in two ways."""
RAISED = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
ARTICLES = ("the", "a", "an")
ARTICLE = re.compile(r"^(?:the|an?) (?=\S)", re.IGNORECASE)


def exact(text: str) -> str:
    """NFC, without outer white space: choices are equal where this is."""
    return unicodedata.normalize("NFC", text).strip()


def typed_alike(text: str) -> str:
    """NFKC, and one way to type each sign; raised digits stay exponents, `½` stays a fraction."""
    text = RAISED.sub(lambda raised: "^" + unicodedata.normalize("NFKC", raised.group()), text)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text)
    text = unicodedata.normalize("NFKC", text).translate(ALIKE).replace("\r\n", "\n")
    # A dash before a digit is a minus, unless it stands between two numbers.
    return re.sub(r"(?<![\w\s])[–—‒](?=\d)|(?<!\S)[–—‒](?=\d)", "-", text)


def plain(text: str) -> str:
    """What a model wrote without special tokens, Markdown, LaTeX wrapping and outer space.

    A boxed result becomes "answer: ...", which is what it means.
    """
    text = SPECIAL_TOKEN.sub("", typed_alike(text))
    text = BOXED.sub(r" answer: \1 ", FENCE.sub("", TAG.sub("", text)))
    text = HEADING.sub("", LINE_MARK.sub("", _without_latex(text)))
    text = LINE_MARK.sub("", WEAK.sub(r"\1\2\3", STRONG.sub("", text)))
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def written(text: str) -> str:
    """The text with its case and signs, whatever its spacing, outer quotes, article, full stop."""
    text = " ".join(_without_latex(typed_alike(text)).split())
    text = re.sub(r" ?([,;()\[\]{}=<>+*/^|]) ?", r"\1", text)
    text = re.sub(r"(?<=[\w)]) - (?=[\w(])", "-", text)
    text = re.sub(r"(?<=[^.,;:])[.,;:]+$|(?<=[^\W\d_])[!?.]+$", "", text)
    for quote in "\"'":
        if len(text) > 2 and text[0] == text[-1] == quote and text.count(quote) == 2:
            text = text[1:-1]
    return ARTICLE.sub("", re.sub(r"(?<=[^.,;:])[.,;:]+$", "", text))


def words_of(text: str) -> list[str]:
    """Lower-case words: what stands between spaces, without punctuation, money and per cent.

    Signs inside and around a word stay: `c#`, `-5`, `10^-3`, `no-entailment`.
    """
    text = re.sub(r"(?<=[^\W\d_])!+(?!\S)", " ", plain(text).casefold())
    text = re.sub(r"(?<!\d)[,;:]|[,;:](?!\d)|[=→…。、]|(?<!\S)[-–—]+(?!\S)|—", " ", text)
    text = re.sub(r"(?<=[^\W\d_]{2})/(?=[^\W\d_]{2})", " ", text)
    words = (re.sub(r"^[\"'(\[{$€£]+|[\"')\]}.?%°]+$", "", word) for word in text.split())
    return [word for word in words if word]


def loose(text: str) -> str:
    """The words with single spaces, a leading article left out."""
    words = words_of(text)
    while len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    return " ".join(words)


def _without_latex(text: str) -> str:
    return LATEX.sub(r"\1", FRACTION.sub(r"\1/\2", DOLLARS.sub(r"\1", text)))
