"""The letter in a model's answer: where it stands, and whether it stands alone.

Letters are words too ("A man", "vitamin C", "I think"), so a letter counts only where its place
or its punctuation marks it as a choice. Each rule gives the set of letters it finds: two different
ones mean that nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from talo_export.tasks.plain_text import loose

OPEN, CLOSE = r"[(\[<'\"]{0,4}", r"[)\]>'\"]{0,4}"
NOUN = r"(?:answer|option|choice|letter|solution|response)"
BE = r"(?:is|was|are|be|would\s+be|should\s+be|must\s+be|has\s+to\s+be|seems\s+to\s+be|will\s+be)"
PICK = r"(?:choose|chose|choosing|select|selected|selecting|pick|picked|picking|go(?:ing)?\s+with)"
BETWEEN = (
    r"to|for|of|in|here|given|is|the|this|your|my|that|best|most|which|question|problem|image|"
    r"picture|figure|option|choice|letter|correct|likely|final|among|above|below|options|choices|"
    r"statement|accurate|appropriate|[a-z]+ed"
)
LEAD = rf"""(?:
    \b{NOUN}s?\b["']? (?:\s+(?:{BETWEEN})\b){{0,8}}? \s* (?:\b{BE}\b|[:=]|->|→) \s* :? \s*
        (?:(?:the|most|likely|probably|definitely|clearly|therefore|thus|best|correct|final)\s+){{0,4}}
  | \b{PICK}\s+
  | (?:答案(?:应该)?(?:是|为|:)?|选择?|选项|正确(?:选项|答案)(?:是|为|:)?|정답은|답은?:?|答えは)\s*
)(?:(?:the\s+)?(?:{NOUN}|选项)\s*:?\s*)?"""
AFTER = r"(?=$|\s*[.,;:!?)\]。,、\n]|\s+(?:because|since|as|for|which|-|–|—|is|was|and|or)\b)"
NO_SIGN = r"(?![\w'#♯♭+^*=&%@°]|-(?:\w|\W*$))"
"""What follows a letter is no sign that makes another thing of it: `C#`, `A+`, `B-`."""
WORDS_THEMSELVES = "AI"
ANTONYMS = r"\b(?:not|never|neither|nor|except|without|cannot|can't|isn't|aren't|n't)\b"
BEFORE_LAST = (
    r"(?:\b(?:is|be|option|choice|answer|letter|choose|select|pick|therefore|thus|so|hence|it's|that's)|"
    r"[:=,(→]|[-=]>|\n|^)"
)


def letters_alone(text: str, letters: str) -> set[str]:
    """The text, or its first line, is a letter and nothing else: `B`, `(b).`, `Option B`."""
    first = text.split("\n", 1)[0]
    pattern = rf"(?:the\s+)?(?:{NOUN}\s*:?\s*)?{OPEN}([A-Za-z]){CLOSE}[.:,;!。]*{CLOSE}"
    match = re.fullmatch(pattern, first.strip(), re.IGNORECASE)
    return {match.group(1).upper()} & set(letters) if match else set()


def letters_after_phrase(text: str, letters: str) -> set[str]:
    """The letter of the last "the answer is B", "I choose B", "B is correct"; its rivals too."""
    found: list[tuple[int, set[str]]] = []
    pattern = rf"{LEAD}{OPEN}(?P<letter>[{letters}{letters.lower()}]){CLOSE}{NO_SIGN}"
    for match in re.finditer(pattern, text, re.IGNORECASE | re.VERBOSE):
        letter, behind = match.group("letter"), text[match.end() :]
        if not _stands_as_letter(letter, behind):
            continue
        found.append((match.start(), {letter.upper(), *_rivals(behind, letters)}))
    correct = (
        r"is\s+(?:the\s+|most\s+likely\s+)?(?:most\s+|best\s+)?(?:correct|right|accurate|answer)"
    )
    pattern = rf"(?<![\w']){OPEN}([{letters}]){CLOSE}\s+{correct}"
    for match in re.finditer(pattern, text):
        found.append((match.start(), {match.group(1)}))
    return max(found, key=lambda entry: entry[0])[1] if found else set()


def letters_at_start(text: str, letters: str, choices: Sequence[str]) -> set[str]:
    """A letter that opens the text and is marked as one: `B. Rome`, `(b) Rome`, `B because`."""
    if len(listed_letters(text, letters)) > 1:
        return set()  # The options are gone through: the first of them is no answer.
    match = re.match(rf"{OPEN}([A-Za-z]){CLOSE}(?P<mark>\s*[.:,;)\-–。]*)(?P<rest>.*)", text, re.S)
    if match is None or match.group(1).upper() not in letters:
        return set()
    letter, mark, rest = match.group(1), match.group("mark"), match.group("rest")
    marked = bool(mark.strip()) or text[0] in "([" or rest.startswith("\n")
    choice = loose(choices[letters.index(letter.upper())])
    says_choice = bool(choice) and f"{loose(rest)} ".startswith(f"{choice} ")
    spaced = rest[:1] in ("", " ", "\n") or mark[-1:] in (" ", "\n")
    if letter.islower() and not says_choice and (rest.strip() or not marked):
        return set()
    because = letter not in WORDS_THEMSELVES and re.match(r"\s*(?:because|since|as)\b", rest)
    if says_choice or (marked and spaced) or because:
        return {letter.upper(), *_rivals(mark + rest, letters)}
    # "A and B" opens with two letters, of which neither is marked.
    return {letter.upper(), *rivals} if (rivals := _rivals(mark + rest, letters)) else set()


def letters_at_end(text: str, letters: str) -> set[str]:
    """A letter that closes the text behind a verb, a colon, or on a line of its own."""
    match = re.search(rf"{OPEN}(?<![\w'.-])([{letters}]){CLOSE}[.!。]*{CLOSE}$", text)
    if match is None:
        return set()
    before = text[: match.start()].rstrip(" \t")
    if re.search(rf"{ANTONYMS}(?:\s+\w+){{0,2}}$", before, re.IGNORECASE):
        return set()
    opened = text[match.start()] in "(["
    if not opened and not re.search(rf"{BEFORE_LAST}$", before, re.IGNORECASE):
        return set()
    rival = re.search(rf"\b([{letters}]){CLOSE}\s*(?:,|,?\s*(?:or|and|/|&))$", before)
    return {match.group(1), *(rival.groups() if rival else ())}


def letters_in_parentheses(text: str, letters: str) -> set[str]:
    """Every letter in parentheses that is not denied."""
    marks = re.finditer(rf"[(\[]([{letters}])[)\]]", text)
    denied = rf"{ANTONYMS}(?:\s+\w+){{0,2}}\s*$"
    return {m.group(1) for m in marks if not re.search(denied, text[: m.start()], re.IGNORECASE)}


def _stands_as_letter(letter: str, behind: str) -> bool:
    if letter.islower():
        return not behind.strip(" .,!?)]}\"'")
    if letter in WORDS_THEMSELVES:
        return re.match(AFTER, behind) is not None
    return True


def _rivals(behind: str, letters: str) -> set[str]:
    """Letters joined to the one before: `A or B`, `(A) and (C)`, `A, B`."""
    rival = re.match(
        rf"{CLOSE}\s*(?:,|/|&|,?\s*\b(?:or|and)\b)\s*(?:{NOUN}\s+)?{OPEN}([{letters}]){CLOSE}(?![\w'])",
        behind,
    )
    if rival is None:
        return set()
    # "A, I think" names no second letter.
    if rival.group(1) in WORDS_THEMSELVES and not re.match(AFTER, behind[rival.end() :]):
        return set()
    return {rival.group(1)}


def listed_letters(text: str, letters: str) -> set[str]:
    """Letters that open a line, or stand before a text in a run such as `A. x B. y`."""
    return set(re.findall(rf"(?:^|\n|[\s,;]){OPEN}([{letters}])[.):]{CLOSE}\s", text + " "))
