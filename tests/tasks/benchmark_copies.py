"""Small copies of the benchmarks, with each one's exact schema and oddities, as the Hub lays them.

The rows are invented; column names, types, file layout and quirks are the real sets'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value
from small_pictures import encoded, palette_with_transparency

S, I8, I32, I64, F64 = (Value(kind) for kind in ("string", "int8", "int32", "int64", "float64"))


def picture(color: str, kind: str = "PNG") -> dict[str, Any]:
    return {"bytes": encoded(color, kind=kind), "path": f"{color}.{kind.lower()}"}


def write(path: Path, features: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    full = [{name: row.get(name) for name in features} for row in rows]
    columns = {name: [row[name] for row in full] for name in features}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(str(path))


def scienceqa(root: Path) -> Path:
    """int8 indices, a category with a trailing tab, a hint that is empty, a palette picture."""
    texts = ("question", "hint", "task", "grade", "subject", "topic", "category", "skill")
    features = {"image": Image(), "choices": List(S), "answer": I8} | dict.fromkeys(texts, S)
    transparent = {"bytes": palette_with_transparency(), "path": "p.png"}
    rows = [
        {"image": picture("red"), "question": "Which is north?", "choices": ["Ohio", "Iowa"],
         "answer": 1, "hint": "", "category": "Maps", "topic": "geography",
         "skill": "Read a map: cardinal directions"},
        {"image": picture("red"), "question": "Which is south?",
         "choices": ["Ohio", "Iowa", "Utah"], "answer": 0, "hint": "Look at the map.",
         "category": "Maps", "topic": "geography",
         "skill": "Read a map: cardinal directions"},
        {"image": transparent, "question": "Which ocean?", "choices": ["Arctic", "Indian"],
         "answer": 0, "hint": "", "category": "Oceans and continents\t", "topic": "geography",
         "skill": "Oceans and continents"},
        {"image": None, "question": "What is a noun?", "choices": ["a", "b"], "answer": 0,
         "hint": "", "category": "Geography", "topic": "geography", "skill": "Other"},
    ]  # fmt: skip
    folder = root / "lmms-lab" / "ScienceQA" / "ScienceQA-IMG"
    write(folder / "test-00000-of-00001.parquet", features, rows)
    trained = rows[1] | {"question": "Trained?", "image": picture("blue")}
    write(folder / "train-00000-of-00001.parquet", features, [trained])
    write(root / "lmms-lab" / "ScienceQA" / "ScienceQA-FULL" / "test-0.parquet", features, [])
    return root


def mmstar(root: Path) -> Path:
    """One file that names no split; options inside the question; a stray <image 1>."""
    texts = ("question", "answer", "category", "l2_category")
    features = {"index": I64, "image": Image()} | dict.fromkeys(texts, S)
    question = "<image 1> Which colour?\nOptions: A: Red, as blood, B: Blue, C: Green, D: Gray"
    rows = [
        {"index": 7, "question": question, "image": picture("red", "JPEG"), "answer": "A",
         "category": "coarse perception", "l2_category": "image style & quality"},
        {"index": 8, "question": "Sum?\nOptions: A: 1, B: 2, C: 3, D: 4", "answer": "D",
         "image": picture("blue", "WEBP"), "category": "math", "l2_category": "geometry"},
    ]  # fmt: skip
    write(root / "Lin-Chen" / "MMStar" / "mmstar.parquet", features, rows)
    return root


def mmbench(root: Path) -> Path:
    """Circular copies numbered n x 10^6 + index; blank cells are the text nan."""
    texts = ("question", "hint", "answer", "A", "B", "C", "D", "category", "source", "L2-category")
    features = {"index": I64, "image": Image()} | dict.fromkeys(texts, S)
    common = {"question": "Which?", "category": "ocr", "source": "x", "image": picture("red"),
              "L2-category": "finegrained_perception (instance-level)"}  # fmt: skip
    rows = [
        common | {"index": 3, "hint": "nan", "A": "x", "B": "y", "C": "nan", "D": "nan",
                  "answer": "A"},
        common | {"index": 1000003, "hint": "nan", "A": "y", "B": "x", "C": "nan", "D": "nan",
                  "answer": "B"},
        common | {"index": 4, "hint": "See.", "A": "p", "B": "q", "C": "r", "D": "nan",
                  "answer": "C", "image": picture("blue"), "category": "image_topic",
                  "L2-category": "coarse_perception"},
        common | {"index": 1000004, "hint": "See.", "A": "q", "B": "r", "C": "p", "D": "nan",
                  "answer": "B", "image": picture("blue"), "category": "image_topic",
                  "L2-category": "coarse_perception"},
    ]  # fmt: skip
    folder = root / "lmms-lab-encoder" / "MMBench"
    write(folder / "en" / "dev-00000-of-00001.parquet", features, rows)
    write(folder / "cn" / "dev-00000-of-00001.parquet", features, rows[:1])
    return root


def mmmu(root: Path) -> Path:
    """Options as text, pictures named in options, an open question, an MPO picture, two shards."""
    texts = ("id", "question", "options", "answer", "question_type", "subfield", "explanation")
    images = {f"image_{n}": Image() for n in range(1, 8)}
    features = dict.fromkeys(texts, S) | images
    rows = [
        {"id": "validation_Physics_1", "question": "Which circuit in <image 1>?",
         "options": "['<image 2>', \"it's <image 3>\", 'none']", "answer": "B",
         "question_type": "multiple-choice", "image_1": picture("red"), "image_2": picture("blue"),
         "image_3": picture("green"), "image_4": picture("gray")},
        {"id": "validation_Art_Theory_12", "question": "How many in <image 1>?", "options": "[]",
         "answer": "['4', 'four']", "question_type": "open", "image_1": picture("pink", "MPO")},
    ]  # fmt: skip
    folder = root / "MMMU" / "data"
    write(folder / "validation-00000-of-00002.parquet", features, rows[:1])
    write(folder / "validation-00001-of-00002.parquet", features, rows[1:])
    return root


def seedbench(root: Path) -> Path:
    """Videos in the same split (their frames are no pictures here: they must not be read)."""
    texts = ("answer", "choice_a", "choice_b", "choice_c", "choice_d", "data_id", "data_type",
             "question", "question_id")  # fmt: skip
    features = {"image": List(Image()), "question_type_id": I64, "segment": List(I64)}
    features |= dict.fromkeys(texts, S)
    choices = {"choice_a": "one", "choice_b": "two", "choice_c": "three", "choice_d": "None"}
    broken = {"bytes": b"not a picture", "path": "frame.png"}
    rows = [
        choices | {"question": "How many?", "answer": "B", "data_id": "1_2", "data_type": "image",
                   "question_id": "101", "question_type_id": 5, "image": [picture("red")]},
        choices | {"question": "What next?", "answer": "A", "data_id": "v1", "data_type": "video",
                   "question_id": "102", "question_type_id": 12, "image": [broken] * 3},
    ]  # fmt: skip
    write(root / "SEED-Bench" / "data" / "test-00000-of-00001.parquet", features, rows)
    return root


def mathvista(root: Path) -> Path:
    """Answers as text, choices that are letters, numbers with a precision, several skills."""
    texts = ("pid", "question", "image", "unit", "answer", "question_type", "answer_type", "query")
    features = {"decoded_image": Image(), "choices": List(S), "precision": F64}
    features |= dict.fromkeys(texts, S)
    features |= {"metadata": {"task": S, "skills": List(S), "split": S}}
    figure = {"task": "figure question answering", "skills": ["statistical reasoning"]}
    word = {"task": "math word problem", "skills": ["arithmetic reasoning", "numeric commonsense"]}
    rows = [
        {"pid": "1", "question": "Which point?", "choices": ["B", "A"], "answer": "A",
         "question_type": "multi_choice", "answer_type": "text", "metadata": figure},
        {"pid": "2", "question": "How long?", "choices": None, "answer": "1.2", "precision": 1.0,
         "unit": "m", "question_type": "free_form", "answer_type": "float", "metadata": word},
        {"pid": "3", "question": "How many?", "choices": None, "answer": "4",
         "question_type": "free_form", "answer_type": "integer", "metadata": word},
        {"pid": "4", "question": "Same?", "choices": ["yes", "no", "no"], "answer": "no",
         "question_type": "multi_choice", "answer_type": "text", "metadata": figure},
    ]  # fmt: skip
    rows.append({"pid": "5", "question": "Which interval?", "answer": "[0, 10]", "metadata": word,
                 "question_type": "free_form", "answer_type": "list"})  # fmt: skip
    for row, color in zip(rows, ("red", "blue", "green", "gray", "pink"), strict=True):
        row["decoded_image"] = picture(color)
    path = root / "AI4Math--MathVista" / "data" / "testmini-00000-of-00001-725687bf7a18d64b.parquet"
    write(path, features, rows)
    return root


def ai2d(root: Path) -> Path:
    """The answer is an index as text; two rows are the same item."""
    features = {"question": S, "options": List(S), "answer": S, "image": Image()}
    row = {"question": "What eats algae?", "options": ["frog", "snail", "owl", "fox"],
           "answer": "1", "image": picture("red")}  # fmt: skip
    write(root / "ai2d" / "test" / "0000.parquet", features, [row, row])
    return root


def realworldqa(root: Path) -> Path:
    """Options in the text or none at all."""
    features = {"question": S, "answer": S, "image": Image(), "image_path": S}
    tail = "Please answer directly with only the letter of the correct option and nothing else."
    rows = [
        {"question": f"Which way?\n\nA. Left\nB. Right\nC. Both\n{tail}", "answer": "B",
         "image": picture("red")},
        {"question": "How many cars?\nPlease answer directly with a single word or number.",
         "answer": "3", "image": picture("blue")},
    ]  # fmt: skip
    write(root / "lmms-lab" / "RealWorldQA" / "data" / "test-0-of-1.parquet", features, rows)
    return root


def pope(root: Path) -> Path:
    """Yes and no; the same picture in several questions; other splits beside test."""
    texts = ("id", "question_id", "question", "answer", "image_source", "category")
    features = dict.fromkeys(texts, S) | {"image": Image()}
    rows = [
        {"id": str(n), "question_id": "1", "question": f"Is there a {thing} in the image?",
         "answer": answer, "image_source": "COCO_1", "category": category,
         "image": picture("red", "JPEG")}
        for n, (thing, answer, category) in enumerate(
            [("dog", "yes", "adversarial"), ("cat", "no", "popular"), ("car", "no", "random")])
    ]  # fmt: skip
    folder = root / "lmms-lab" / "POPE"
    write(folder / "data" / "test-00000-of-00001.parquet", features, rows)
    write(folder / "Full" / "random-00000-of-00001.parquet", features, rows[:1])
    return root


def blink(root: Path) -> Path:
    """A configuration per sub-task; answers in parentheses; some images null."""
    texts = ("idx", "question", "sub_task", "answer", "prompt", "explanation")
    features = dict.fromkeys(texts, S) | {"choices": List(S)}
    features |= {f"image_{n}": Image() for n in range(1, 5)}
    rows = [
        {"idx": f"val_{task}_1", "question": "Same?", "sub_task": task, "answer": "(B)",
         "choices": ["yes", "no"], "prompt": "Same?\n(A) yes\n(B) no", "image_1": picture("red"),
         "image_2": picture("blue")}
        for task in ("Jigsaw", "Multi-view_Reasoning")
    ]  # fmt: skip
    for row in rows:
        folder = root / "BLINK-Benchmark" / "BLINK" / row["sub_task"]
        write(folder / "val-00000-of-00001.parquet", features, [row])
    return root


def mme(root: Path) -> Path:
    """Two questions a picture, sharing question_id."""
    features = dict.fromkeys(("question_id", "question", "answer", "category"), S)
    features |= {"image": Image()}
    rows = [
        {"question_id": "count/0006.png", "question": f"{start} two? Please answer yes or no.",
         "answer": answer, "category": "count", "image": picture("red")}
        for start, answer in (("Are there", "Yes"), ("Are these not", "No"))
    ]  # fmt: skip
    write(root / "lmms-lab" / "MME" / "data" / "test-00000-of-00001.parquet", features, rows)
    return root


ALL = (scienceqa, mmstar, mmbench, mmmu, seedbench, mathvista, ai2d, realworldqa, pope, blink, mme)
