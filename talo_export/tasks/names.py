"""Names of tasks: how a category is spelt in one, and what was probably meant by a wrong one."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable


def slug(text: str) -> str:
    """`Read a map: cardinal directions` -> `read-a-map-cardinal-directions`; never empty.

    Letters of every script stay; a text without any is named by its hash.
    """
    words = re.findall(r"[^\W_]+", text.casefold())
    return "-".join(words) or hashlib.sha256(text.encode()).hexdigest()[:8]


def distinct_slugs(texts: Iterable[str]) -> dict[str, str]:
    """A slug for each text; where two would share one, both carry a piece of their hash."""
    slugs = {text: slug(text) for text in texts}
    uses = Counter(slugs.values())
    return {
        text: name if uses[name] == 1 else f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        for text, name in slugs.items()
    }


def nearest(wanted: str, known: Iterable[str]) -> str | None:
    """A clause for an error message: "did you mean 'maps'?"; None if nothing is near."""
    spelling = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), spelling, n=3, cutoff=0.6)
    if not close:
        return None
    return f"did you mean {' or '.join(repr(spelling[name]) for name in close)}?"
