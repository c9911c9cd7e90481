"""Texts made comparable: without Markdown, case, articles and punctuation."""

from __future__ import annotations

import re
import unicodedata

MARKUP = re.compile(r"[*_`#~$]+|\\boxed|\\text(?:bf)?|<\/?(?:answer|b|i|strong|em)>")


def stripped_of_markup(text: str) -> str:
    """`text` in NFKC without Markdown emphasis, LaTeX boxes and outer whitespace."""
    plain = MARKUP.sub("", unicodedata.normalize("NFKC", text))
    return plain.replace("{", "(").replace("}", ")").strip()


def normalised(text: str) -> str:
    """Lower-case words with single spaces: punctuation and leading articles do not count."""
    words = re.findall(r"[^\W_]+(?:[.'][^\W_]+)*", stripped_of_markup(text).casefold())
    while words and words[0] in {"the", "a", "an"} and len(words) > 1:
        words = words[1:]
    return " ".join(words)
