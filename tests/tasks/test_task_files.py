"""A user's own file: what is read from each format, and what each mistake is called."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_pictures import encoded

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.files import load_task_file
from talo_export.tasks.item import Task
from talo_export.tasks.sources import load_task, task_references

QUIZ = [
    {"id": "one", "question": "Which is red?", "choices": ["rose", "leaf"], "answer": 0},
    {"id": "two", "question": "Which is green?", "choices": ["rose", "leaf"], "answer": 1},
]


def write_as(path: Path) -> Path:
    """The quiz in the format that the path's ending names."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in QUIZ))
    elif path.suffix == ".json":
        path.write_text(json.dumps(QUIZ))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(QUIZ), path)
    elif path.suffix == "":
        datasets.Dataset.from_list(QUIZ).save_to_disk(str(path))
    else:
        with path.open("w", newline="") as out:
            writer = csv.writer(out, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow(["id", "question", "A", "B", "answer"])
            for row in QUIZ:
                writer.writerow([row["id"], row["question"], *row["choices"], "AB"[row["answer"]]])
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ""])
def test_every_format_gives_the_same_items(tmp_path: Path, ending: str) -> None:
    task = load_task_file(write_as(tmp_path / f"quiz{ending}"))
    assert task.name == "quiz"
    assert [(i.id, i.question, i.choices, i.answer) for i in task.items] == [
        ("one", "Which is red?", ("rose", "leaf"), 0),
        ("two", "Which is green?", ("rose", "leaf"), 1),
    ]


@pytest.mark.parametrize("answer", [2, 2.0, "2", "C", "c", "(C)", "C.", "Cod", " cod "])
def test_an_answer_is_an_index_a_letter_or_a_text(write_rows, answer) -> None:
    path = write_rows({"question": "?", "choices": ["Ant", "Bee", "Cod"], "answer": answer})
    assert load_task_file(path).items[0].answer == 2


@pytest.mark.parametrize(
    ("choices", "answer", "index"),
    [
        (["10", "20"], "10", 0),
        (["10", "20"], 20, 1),
        (["1.0", "2.0"], 2, 1),
        (["True", "False"], True, 0),
        (["no", "yes"], "Yes", 1),
    ],
)
def test_texts_of_choices_win_over_numbers(write_rows, choices, answer, index) -> None:
    path = write_rows({"question": "?", "choices": choices, "answer": answer})
    assert load_task_file(path).items[0].answer == index


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ({"answer": 0, "choices": ["x", "y"]}, "question", "missing"),
        ({"question": "?", "choices": ["x", "y"]}, "answer", "missing"),
        ({"question": "?", "choices": ["x", "y"], "answer": 2}, "answer", "none of the 2 choices"),
        ({"question": "?", "choices": ["x", "y"], "answer": -1}, "answer", "none of the 2"),
        ({"question": "?", "choices": ["x", "y"], "answer": "C"}, "answer", "none of the choices"),
        ({"question": "?", "choices": ["B", "x"], "answer": "B"}, "answer", "could mean A (B)"),
        ({"question": "?", "choices": ["x", "x"], "answer": "x"}, "answer", "could mean"),
        ({"question": "?", "choices": ["x"], "answer": 0}, "choices", "at least two"),
        ({"question": "?", "choices": ["x", None], "answer": 0}, "choices", "choice 2"),
        ({"question": "?", "choices": "x or y", "answer": 0}, "choices", "a list is needed"),
        ({"question": "?", "choices": list(range(27)), "answer": 0}, "choices", "27 choices"),
        ({"question": "?", "A": "x", "C": "y", "answer": 0}, "B", "blank"),
        ({"question": "?", "answer": []}, "answer", "empty list"),
        ({"question": ["?"], "answer": "x"}, "question", "text is needed"),
        ({"question": "?", "answer": "x", "tolerance": "some"}, "tolerance", "a number is needed"),
        ({"question": "?", "answer": "x", "image": "gone.png"}, "image", "no image 'gone.png'"),
        ({"question": "?", "answer": "x", "image": 7}, "image", "is a path, a data URI or base64"),
        ({"question": "?", "answer": "x", "image": "http://x/y.png"}, "image", "remote address"),
        ({"question": "?", "answer": "x", "image": "data:image/png"}, "image", "no comma"),
        ({"question": "?", "answer": "x", "image": "data:;base64,@"}, "image", "base64 is broken"),
    ],
)
def test_a_mistake_is_told_by_file_line_and_field(write_rows, row, field, words) -> None:
    path = write_rows(QUIZ[0], row)
    with pytest.raises(TaloError) as caught:
        load_task_file(path)
    assert str(caught.value).startswith(f"{path}, line 2, field '{field}': ")
    assert words in str(caught.value)


def test_up_to_ten_mistakes_are_told_at_once(write_rows) -> None:
    path = write_rows(*[{"question": "?", "answer": None}] * 13)
    with pytest.raises(TaloError) as caught:
        load_task_file(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path} has 13 problems:"
    assert [line.split(",")[0].strip() for line in lines[1:11]] == [
        f"line {n}" for n in range(1, 11)
    ]
    assert lines[11].strip() == "... and 3 more"


def test_a_repeated_id_names_both_rows(write_rows) -> None:
    path = write_rows(QUIZ[0], QUIZ[1], QUIZ[0])
    with pytest.raises(TaloError, match="line 3, field 'id': 'one' is also the id of line 1"):
        load_task_file(path)


def test_the_same_item_twice_without_ids_names_both_rows(write_rows) -> None:
    path = write_rows({"question": "?", "answer": "x"}, {"question": "?", "answer": "x"})
    with pytest.raises(TaloError, match="line 2: the same item as line 1"):
        load_task_file(path)


def test_a_generated_id_depends_on_content_alone(write_rows) -> None:
    row = {"question": "?", "choices": ["x", "y"], "answer": 0}
    alone = load_task_file(write_rows(row, name="a.jsonl")).items[0]
    later = load_task_file(write_rows(*QUIZ, row | {"answer": "A"}, name="b.jsonl")).items[-1]
    other = load_task_file(write_rows(row | {"answer": 1}, name="c.jsonl")).items[0]
    assert alone.id == later.id != other.id


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("quiz.jsonl", b"", "is empty"),
        ("quiz.json", b"", "is empty"),
        ("quiz.json", b"[]", "is empty"),
        ("quiz.csv", b"question,answer\n", "is empty"),
        ("quiz.jsonl", b'{"question": "?"\n', "line 1: not valid JSON"),
        ("quiz.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("quiz.json", b'[{"question": "?"\n"answer": 1}]', "line 2: not valid JSON"),
        ("quiz.json", b'{"question": "?"}', "holds no list"),
        ("quiz.csv", b"question,answer\n?,x,y\n", "line 2: 3 cells, but the header has 2"),
        ("quiz.csv", b"answer,answer\n?,x\n", "column 'answer' twice"),
        ("quiz.csv", b'question,answer\n?,"x\n', "line 2: unexpected end of data"),
        ("quiz.jsonl", b"\xff\xfe", "not UTF-8"),
        ("quiz.parquet", b"PAR1 nothing", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_where(tmp_path, name, content, words) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TaloError) as caught:
        load_task_file(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["gone.jsonl", "quiz.txt", "folder"])
def test_what_is_no_task_file_is_wrong_usage(tmp_path: Path, name: str) -> None:
    (tmp_path / "quiz.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=name):
        load_task_file(tmp_path / name)


def test_lines_of_a_csv_count_line_breaks_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_text('question,answer\n"two\nlines",x\nlast,\n')
    with pytest.raises(TaloError, match="line 4, field 'answer'"):
        load_task_file(path)


def test_a_line_separator_inside_a_json_text_does_not_end_the_row(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"question": "a\u2028b", "answer": "x"}\n', encoding="utf-8")
    assert load_task_file(path).items[0].question == "a\u2028b"


def test_a_prompt_is_used_in_place_of_the_question(write_rows) -> None:
    path = write_rows({"prompt": "2+2=", "question": "two and two", "answer": ["4", "four"]})
    item = load_task_file(path).items[0]
    assert (item.prompt, item.question, item.accepted) == ("2+2=", None, ("4", "four"))


@pytest.mark.parametrize("word", ["None", "none", "N/A", "NA", "NULL", "null", "nan", "<NA>"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_in_text_files_words_are_never_blanks(tmp_path: Path, word: str, ending: str) -> None:
    path = tmp_path / f"quiz.{ending}"
    cells = [["index", "question", "A", "B", "C", "D", "category", "answer"],
             ["7", "?", "x", "y", word, "", word, "C"]]  # fmt: skip
    path.write_text("\n".join(("," if ending == "csv" else "\t").join(row) for row in cells))
    item = load_task_file(path).items[0]
    assert (item.id, item.choices, item.answer) == ("7", ("x", "y", word), 2)
    assert item.category == word


def test_in_typed_files_a_null_is_a_null_and_a_word_a_word(tmp_path: Path) -> None:
    path = tmp_path / "quiz.parquet"
    rows = [
        {"id": "a", "question": "?", "A": "x", "B": "None", "C": None, "answer": "B"},
        {"id": "None", "question": "?", "A": "x", "B": "y", "C": "null", "answer": "C"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    items = load_task_file(path).items
    assert [(item.id, item.choices) for item in items] == [
        ("a", ("x", "None")),
        ("None", ("x", "y", "null")),
    ]


CATEGORIES = [
    QUIZ[0] | {"category": "Warm: red"},
    QUIZ[1] | {"category": "cold"},
    QUIZ[1] | {"id": "three"},
]


def test_a_category_is_picked_by_its_text_or_its_slug(write_rows) -> None:
    path = write_rows(*CATEGORIES)
    for name in ("Warm: red", "warm-red"):
        task = load_task_file(f"{path}:{name}")
        assert task.name == "quiz/warm-red"
        assert [item.id for item in task.items] == ["one"]
    assert load_task_file(f"{path}:cold").items[0].id == "two"


def every_task(pattern: str) -> list[Task]:
    return [load_task(reference) for reference in task_references(pattern)]


def test_a_star_makes_every_category_its_own_task(write_rows) -> None:
    tasks = every_task(f"{write_rows(*CATEGORIES)}:*")
    assert [(task.name, len(task)) for task in tasks] == [("quiz/warm-red", 1), ("quiz/cold", 1)]


def test_categories_that_would_share_a_name_keep_apart(write_rows) -> None:
    rows = [row | {"category": c} for row, c in zip(QUIZ, ("Cold", "cold"), strict=True)]
    names = {task.name for task in every_task(f"{write_rows(*rows)}:*")}
    assert len(names) == 2


def test_an_unknown_category_suggests_the_nearest(write_rows) -> None:
    with pytest.raises(UsageError, match="did you mean 'cold'"):
        load_task_file(f"{write_rows(*CATEGORIES)}:colt")


def test_a_category_of_a_file_without_any_is_wrong_usage(write_rows) -> None:
    for category in ("cold", "*"):
        with pytest.raises(UsageError, match="no field 'category'"):
            every_task(f"{write_rows(*QUIZ)}:{category}")


def test_a_picture_comes_from_a_path_a_uri_base64_or_bytes(tmp_path: Path) -> None:
    picture = encoded()
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "red.png").write_bytes(picture)
    text = base64.b64encode(picture).decode()
    rows = [
        {"image": "pics/red.png"},
        {"image": f"data:image/png;base64,{text}"},
        {"image": (tmp_path / "pics" / "red.png").as_uri()},
        {"image": text},
        {"images": ["pics/red.png"]},
        {"images": json.dumps(["pics/red.png"])},
    ]
    path = tmp_path / "quiz.jsonl"
    path.write_text(
        "".join(
            json.dumps(r | {"id": n, "question": "?", "answer": "x"}) + "\n"
            for n, r in enumerate(rows)
        )
    )
    items = load_task_file(path).items
    assert {item.images[0].read() for item in items} == {picture}
    assert len({item.group for item in items}) == 1


@pytest.mark.parametrize("ending", [".parquet", ""])
def test_a_picture_comes_undecoded_from_an_image_column(tmp_path: Path, ending: str) -> None:
    picture = encoded(kind="JPEG")
    rows = [{"question": "?", "answer": "x", "image": {"bytes": picture, "path": "a.jpg"}}]
    path = tmp_path / f"quiz{ending}"
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table.save_to_disk(str(path)) if not ending else table.to_parquet(str(path))
    assert load_task_file(path).items[0].images[0].read() == picture


def test_a_file_that_is_no_picture_is_told(tmp_path: Path, write_rows) -> None:
    (tmp_path / "red.png").write_bytes(encoded()[:20])
    (tmp_path / "text.png").write_text("not a picture")
    rows = [{"question": "?", "answer": "x", "image": n} for n in ("red.png", "text.png")]
    with pytest.raises(TaloError, match="2 problems") as caught:
        load_task_file(write_rows(*rows))
    assert "line 1, field 'image': red.png is not an image that can be read" in str(caught.value)
    assert "line 2, field 'image': text.png is not an image" in str(caught.value)


def test_a_path_that_leads_out_of_the_files_directory_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "red.png").write_bytes(encoded())
    outside = tmp_path / "red.png"
    for name in ("../red.png", str(outside), outside.as_uri()):
        path = inner / "quiz.jsonl"
        path.write_text(json.dumps({"question": "?", "answer": "x", "image": name}))
        with pytest.raises(TaloError, match="lies outside"):
            load_task_file(path)


def test_items_that_share_any_picture_share_a_group(tmp_path: Path, write_rows) -> None:
    for color in ("red", "green", "blue"):
        (tmp_path / f"{color}.png").write_bytes(encoded(color))
    pictures = [["red.png"], ["red.png", "green.png"], ["green.png"], ["blue.png"], []]
    rows = [{"id": n, "question": "?", "answer": "x", "images": p} for n, p in enumerate(pictures)]
    groups = [item.group for item in load_task_file(write_rows(*rows)).items]
    assert groups[0] == groups[1] == groups[2] != groups[3]
    assert groups[4] == "4"


def test_a_tsv_of_vlmevalkit_stores_a_picture_once_and_names_its_row(tmp_path: Path) -> None:
    text = base64.b64encode(encoded()).decode()
    (tmp_path / "blue.png").write_bytes(encoded("blue"))
    lines = [
        "index\timage\timage_path\tquestion\thint\tA\tB\tanswer\tcategory",
        f"12\t{text}\tred.png\tWhich?\tnan\tx\ty\tA\tocr",
        "13\t12\tred.png\tWhy?\tLook.\tx\ty\tB\tocr",
        "14\t\tblue.png\tWhat?\t\tx\ty\tB\tocr",
        f"15\t['{text}', '{text}']\t\tBoth?\t\tx\ty\tB\tocr",
    ]
    path = tmp_path / "quiz.tsv"
    path.write_text("\n".join(lines))
    items = load_task_file(path).items
    assert [len(item.images) for item in items] == [1, 1, 1, 2]
    assert items[1].images[0].read() == encoded()
    assert items[2].images[0].read() == encoded("blue")
    assert [item.hint for item in items] == [None, "Look.", None, None]
    assert items[0].group == items[1].group == items[3].group != items[2].group


def test_a_picture_field_that_is_only_a_number_of_no_row_is_told(write_rows) -> None:
    with pytest.raises(TaloError, match="there is no image '12'"):
        load_task_file(write_rows({"index": 1, "question": "?", "answer": "x", "image": "12"}))
