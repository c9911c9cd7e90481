"""Which of a user's own columns is which of our fields: by `--columns`, or by a plain name.

`Question`, `option_a` or `choice1` mean what they say. What looks like choices and is none of
these is refused where the answers would otherwise be taken for free text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.answer_rule import KINDS
from talo_export.tasks.fields import is_missing, look_up, read_cells, spelt_value
from talo_export.tasks.item import LETTERS
from talo_export.tasks.names import nearest
from talo_export.tasks.rows import Row

ANSWERS = ("answer", *(f"answer_{kind}" for kind in KINDS))
FIELDS = ("id", "question", "prompt", "choices", *ANSWERS, "image", "images", "category", "group",
          "hint", "tolerance")  # fmt: skip
"""Every field that `columns` can name, beside the letters of choices."""

OTHER_NAMES = {
    "id": ("index",),
    "choices": ("options", "answerchoices", "answeroptions"),
    "answer": ("answerkey", "correctanswer", "answeridx"),
    "image_path": (),
}
"""Plain names of fields beside their own, as `_plain` writes them."""

ALIKE = (set(ANSWERS), {"image", "images", "image_path"})
"""Fields of which no other is looked for where one is named."""

STEMS = ("", "option", "opt", "op", "choice", "ending", "sol")
"""What stands before the letter or number in the name of a column that holds one choice."""

LIKE_CHOICES = re.compile(
    r"(option|choice|candidate|distractor|alternative|foil|(incorrect|wrong)(answer|option)?)s?"
    r"[a-z0-9]{0,2}"
)

PICTURES = re.compile("image|img|picture|photo|url")


@dataclass(frozen=True)
class Columns:
    """Paths of each field's column, the first that holds something counts; those of the choices.

    `numbered` says that the choices' columns count from 1; `unread` are columns that are no field.
    """

    fields: Mapping[str, Sequence[str]]
    choices: Sequence[str]
    numbered: bool
    unread: tuple[str, ...]

    def read(self, row: Row) -> dict[str, Any]:
        """A row under our field names. Raises: FieldError for a gap in its choices."""
        found = {name: self._first(row, paths) for name, paths in self.fields.items() if paths}
        fields = {name: value for name, value in found.items() if value is not None}
        if self.choices and fields.get("choices") in (None, "", [], "[]"):
            fields |= {"choices": read_cells(row.fields, self.choices), "numbered": self.numbered}
        return fields

    def _first(self, row: Row, paths: Sequence[str]) -> Any:
        values = (look_up(row.fields, path) for path in paths)
        return next((value for value in values if not is_missing(value)), None)


def parse_columns(text: str) -> dict[str, str]:
    """`question=stem,choices=a+b+c` as a mapping from our fields to the data's columns.

    A letter is a choice: `A=first,B=second`.

    Raises: UsageError for a field that items do not have, or a part without `=`.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise UsageError(f"'{part}' is no column: write FIELD=COLUMN, as question=stem.")
        if name not in (*FIELDS, *LETTERS):
            hint = nearest(name, FIELDS) or f"there are {', '.join(FIELDS)} and A, B, ..."
            raise UsageError(f"Items have no field '{name}': {hint}")
        if name in columns:
            raise UsageError(f"The field '{name}' is named twice.")
        columns[name] = column
    return columns


def find_columns(rows: Sequence[Row], named: Mapping[str, str], source: str) -> Columns:
    """The columns of these rows, `named` ones first.

    Raises: TaloError for a column that no row has, no question or answer, or choices in two sets
    of columns.
    """
    present = list(dict.fromkeys(name for row in rows for name in row.fields))
    listed = ", ".join(sorted(present))
    fields: dict[str, list[str]] = {}
    for field, text in named.items():
        several = field == "choices" and "+" in text and not _has(rows, text)
        fields[field] = [part.strip() for part in text.split("+")] if several else [text]
        for path in fields[field]:
            if not _has(rows, path):
                raise TaloError(f"{source} has no column '{path}', only {listed}.")
    choices = fields.pop("choices") if len(fields.get("choices", ())) > 1 else []
    letters = [letter for letter in LETTERS if letter in fields]
    choices = choices or [path for letter in letters for path in fields.pop(letter)]
    told = set(fields) | ({"choices"} if choices else set())
    for field in (*FIELDS, "image_path"):
        alike = next((group for group in ALIKE if field in group), {field})
        if not alike & told:
            plain = [_plain(field), *OTHER_NAMES.get(field, ())]
            others = [name for name in present if _plain(name) in plain and name != field]
            others.sort(key=lambda name: plain.index(_plain(name)))
            fields[field] = [name for name in (field, *others) if name in present]
    paths = {path for several in (choices, *fields.values()) for path in several}
    read = paths | {path.partition(".")[0] for path in paths}
    for field, needs in (("question", ("question", "prompt")), ("answer", ANSWERS)):
        if not any(fields.get(need) for need in needs):
            raise TaloError(
                f"{source} has no column '{field}', only {listed}: name it with "
                f"--columns {field}=COLUMN."
            )
    numbered = False
    if not choices:
        families = [names for stem, names in _families(present, read).items() if stem in STEMS]
        if len(families) > 1:
            both = " and in ".join(", ".join(names.values()) for names in families)
            raise TaloError(
                f"{source} has choices in {both}: say which with --columns "
                f"choices={'+'.join(families[0].values())}."
            )
        if families:
            choices, numbered = list(families[0].values()), next(iter(families[0])) == "1"
    read |= set(choices)
    unread = tuple(name for name in present if name not in read)
    return Columns(fields, choices, numbered, unread)


def refuse_hidden_choices(
    columns: Columns, rows: Sequence[Row], free: Sequence[Any], source: str
) -> None:
    """Raise TaloError where `free` answers, of rows without choices, have choices all the same.

    They have where columns are named as choices are; where all answers point at something
    (letters, small numbers) and columns are lettered or numbered; or where all are letters, and
    several, or beside columns that may be what they stand for.
    """
    free = [value for value in free if not isinstance(value, (list, tuple))]
    if not free:
        return
    texts = [str(value).strip().strip("(). ") for value in free]
    letters = all(len(text) == 1 and text in LETTERS for text in texts)
    hidden = [name for name in columns.unread if LIKE_CHOICES.fullmatch(_plain(name))]
    hidden = [name for name in hidden if any(_says(row.fields.get(name)) for row in rows)]
    numbers = all(re.fullmatch(r"\d", text) for text in texts)
    for stem, names in _families(columns.unread, set()).items():
        pointing = letters or (numbers and max(map(int, texts)) <= len(names))
        if (pointing and not PICTURES.match(stem)) or stem in ("answer", "ans", "possibleanswer"):
            hidden += [name for name in names.values() if name not in hidden]
    if hidden:
        wrong = all(re.match("distractor|foil|incorrect|wrong", _plain(name)) for name in hidden)
        right = next(iter(columns.fields.get("answer", ())), "COLUMN")
        listed = "+".join([*hidden, right] if wrong else hidden)
        raise TaloError(
            f"{source} has choices in columns that are not read ({', '.join(hidden)}): name them "
            f"with --columns choices={listed}, or rename them if they are none."
        )
    others = [name for name in columns.unread if any(_says(row.fields.get(name)) for row in rows)]
    lists = [n for n in others if not isinstance(spelt_value(rows[0].fields.get(n)), str)]
    several = len(free) > 2 and len(set(texts)) > 1 and max(texts) <= "H"
    if letters and (several or len(others) > 1 or lists):
        raise TaloError(
            f"{source} has answers that are letters ({', '.join(sorted(set(texts)))}), but no "
            "choices: name their columns with --columns choices=COLUMN+COLUMN, or write an answer "
            'as a list, ["C"], where the letter itself is what is asked for.'
        )


def _has(rows: Sequence[Row], path: str) -> bool:
    return any(path in row.fields or look_up(row.fields, path) is not None for row in rows)


def _says(value: Any) -> bool:
    return isinstance(value, (list, Mapping)) or (isinstance(value, str) and bool(value.strip()))


def _plain(name: str) -> str:
    """A name without case, blanks and signs: `Option A` and `option_a` are `optiona`."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _families(present: Sequence[str], read: set[str]) -> dict[str, dict[str, str]]:
    """Columns that differ by a letter or number alone, by what stands before it, in its order.

    A family has a first and a second; one that is missing between others is in it by its name.
    """
    families: dict[tuple[str, bool], dict[str, str]] = {}
    for name in present:
        match = re.fullmatch(r"(.*?)([a-z]|\d{1,2})", _plain(name))
        if match and name not in read:
            family = families.setdefault((match[1], match[2].isdigit()), {})
            family.setdefault(match[2].lstrip("0") or match[2][:1], name)
    found: dict[str, dict[str, str]] = {}
    for (stem, digits), names in families.items():
        keys = [str(n) for n in range(100)] if digits else list(ascii_lowercase)
        if digits and "0" not in names:
            keys = keys[1:]
        last = max(keys.index(key) for key in names) if set(names) <= set(keys) else 0
        if keys[0] in names and (len(names) > 1 or names[keys[0]] == "A"):
            full = keys[: last + 1]
            found[stem] = {key: names.get(key) or names[keys[0]][:-1] + key.upper() for key in full}
    return found
