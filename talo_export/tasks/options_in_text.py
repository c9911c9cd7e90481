"""Choices that a benchmark wrote into the question itself: `Options: A: x, B: y, C: z`."""

from __future__ import annotations

import re

from talo_export.tasks.item import LETTERS

# Lines after the options that are instructions, not part of the last one.
INSTRUCTION = re.compile(r"\n\s*(?:please\s+)?(?:answer|select|choose)\b.*", re.IGNORECASE | re.S)
HEADING = re.compile(r"\s*(?:options|choices)\s*:?\s*$", re.IGNORECASE)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """The question without its options, and their texts; the whole text and none if it has none.

    A letter counts as a mark only in its turn, A then B and so on, at the start of a line, after
    a comma or after "Options:", so that an "A:" inside an option ends nothing.
    """
    marks: list[tuple[int, int]] = []
    position = 0
    for letter in LETTERS:
        pattern = rf"(?:^|\n|,|\.|[Oo]ptions:|[Cc]hoices:)\s*\(?({letter})[:.)]\s+"
        found = re.compile(pattern).search(text, position)
        if found is None:
            break
        marks.append((found.start(1), found.end()))
        # The separator before the next mark may be the last character of this one's text.
        position = found.end() - 1
    if len(marks) < 2:
        return text, ()
    ends = [start for start, _ in marks[1:]] + [len(text)]
    texts = [text[begin:end] for (_, begin), end in zip(marks, ends, strict=True)]
    texts[-1] = INSTRUCTION.sub("", texts[-1])
    stem = HEADING.sub("", text[: marks[0][0]].rstrip().rstrip("("))
    return stem.rstrip(), tuple(option.strip().rstrip(",(").strip() for option in texts)
