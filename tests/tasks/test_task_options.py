"""What the options about a task do, seen in what the model is sent: prompts, examples, columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import benchmark_copies
import pytest
from asked_models import document, refusal, run, saved_llama, saved_llava
from PIL import Image

from talo_export.models.loading import load_model
from talo_export.probing.encoding import encode
from talo_export.probing.settings import Scoring
from talo_export.tasks.sources import load_task

L = "Answer with the option's letter from the given choices directly."


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_llava(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_llama(tmp_path_factory.mktemp("llm"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of ScienceQA, with its training split."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield benchmark_copies.scienceqa(tmp_path_factory.mktemp("copies"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_show_prints_what_the_model_is_sent(vlm: Path, copies: Path) -> None:
    shown = document("tasks", "maps", "--show", 3, "--model", vlm, "--data", copies)
    task = load_task("maps", data=copies)
    assert shown["task"] == "scienceqa/maps"
    assert [item["id"] for item in shown["items"]] == [item.id for item in task.items]
    loaded = load_model(str(vlm))
    for item, said in zip(task.items, shown["items"], strict=True):
        sent = encode(loaded, item, Scoring())
        text = loaded.tokenizer.decode(sent.inputs["input_ids"][0])
        # The processor puts one token a patch where the text has one for the whole picture.
        assert text.replace("<image>" * 4, "<image>") == said["text"]
        assert said["tokens"] == sent.length


def test_show_saves_the_pictures_the_processor_is_given(vlm: Path, copies: Path) -> None:
    shown = document("tasks", "maps", "--show", 1, "--model", vlm, "--data", copies, "--out", "p")
    (saved,) = shown["items"][0]["pictures"]
    given = load_task("maps", data=copies).items[0].images[0].open()
    with Image.open(saved["file"]) as picture:
        assert picture.tobytes() == given.tobytes()
    assert Path(saved["file"]).parent == Path("p")
    assert saved["size"] == list(given.size)


def test_show_prints_special_tokens_and_brackets_as_they_stand(llm: Path, write_rows) -> None:
    path = write_rows({"id": "a", "question": "Is [bold]x[/bold] < y?", "answer": "no"})
    said = run("tasks", path, "--show", 1, "--model", llm).stdout
    assert "<s>user: Is [bold]x[/bold] < y?\n" in said
    assert "assistant: \nright answer: no" in said


def test_show_needs_no_weights(llm: Path, tmp_path: Path, write_rows) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in llm.iterdir():
        if file.suffix != ".safetensors":
            (bare / file.name).write_bytes(file.read_bytes())
    path = write_rows({"id": "a", "question": "?", "answer": "x"})
    assert document("tasks", path, "--show", 1, "--model", bare)["items"][0]["id"] == "a"


def test_the_other_harness_has_its_own_wording(vlm: Path, copies: Path) -> None:
    line = ("tasks", "maps", "--show", 2, "--model", vlm, "--data", copies)
    usual, other = (
        document(*line, *more)["items"][1]["text"] for more in ((), ("--prompt", "vlmevalkit"))
    )
    assert f"Context: Look at the map.\nWhich is south?\nA. Ohio\nB. Iowa\nC. Utah\n{L}" in usual
    assert "Hint: Look at the map.\nQuestion: Which is south?\nOptions:\nA. Ohio" in other
    assert "Please select the correct answer from the options above. \n" in other


def test_a_system_message_comes_first(vlm: Path, copies: Path) -> None:
    shown = document(
        "tasks", "maps", "--show", 1, "--model", vlm, "--data", copies, "--system", "Be terse."
    )
    assert shown["items"][0]["text"].startswith("<s>system: Be terse.\nuser: <image>Which")


def test_a_system_message_without_a_place_is_wrong_usage(llm: Path, write_rows) -> None:
    path = write_rows({"id": "a", "prompt": "2 + 2 =", "answer": "4"})
    said = refusal("evaluate", "--model", llm, "--task", path, "--system", "Be terse.")
    assert "no place" in said
    said = refusal("tasks", path, "--show", 1, "--model", llm, "--system", "Be terse.")
    assert "no place" in said


def test_a_template_that_drops_system_messages_is_wrong_usage(
    llm: Path, tmp_path: Path, write_rows
) -> None:
    deaf = tmp_path / "deaf"
    deaf.mkdir()
    for file in llm.iterdir():
        (deaf / file.name).write_bytes(file.read_bytes())
    template = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"
    (deaf / "chat_template.jinja").write_text(template)
    path = write_rows({"id": "a", "question": "?", "answer": "x"})
    said = refusal("tasks", path, "--show", 1, "--model", deaf, "--system", "Be terse.")
    assert "has no place for a system message" in said


def test_examples_come_from_the_benchmarks_training_split(vlm: Path, copies: Path) -> None:
    shown = document(
        "tasks", "maps", "--show", 1, "--model", vlm, "--data", copies, "--few-shot", 1
    )
    item = shown["items"][0]
    assert item["text"].index("Trained?") < item["text"].index("assistant: A\n")
    assert item["text"].index("assistant: A\n") < item["text"].index("Which is north?")
    with Image.open(item["pictures"][0]["file"]) as first:
        assert first.getpixel((0, 0)) == (0, 0, 255), "the example's picture comes first"
    assert len(item["pictures"]) == item["text"].count("<image>") == 2


@pytest.mark.parametrize("task", ["demo/maps", "ai2d"])
def test_examples_where_nothing_is_set_apart_are_wrong_usage(task: str, copies: Path) -> None:
    said = refusal("tasks", task, "--show", 1, "--data", copies, "--few-shot", 1)
    assert "split to take" in said


def own_rows(write_rows: Callable[..., Path]) -> Path:
    """A file whose fields have names of their own."""
    return write_rows(
        *(
            {"key": f"k{n}", "stem": f"Number {n}?", "opts": {"text": ["x", "y"]}, "gold": n % 2}
            for n in range(8)
        )
    )


COLUMNS = ("--columns", "id=key,question=stem,choices=opts.text,answer=gold")


def test_columns_are_named_in_every_command(llm: Path, tmp_path: Path, write_rows) -> None:
    path = own_rows(write_rows)
    checked = document("tasks", "check", path, *COLUMNS)
    assert (checked["items"], checked["letters"]) == (8, {"A": 4, "B": 4})
    shown = document("tasks", path, "--show", 1, "--model", llm, *COLUMNS)
    assert "Number 0?\nA. x\nB. y\n" in shown["items"][0]["text"]
    line = ("--model", llm, "--task", path, "--scoring", "likelihood", *COLUMNS)
    evaluated = document("evaluate", *line)
    assert [item["id"] for item in evaluated["items"]] == [f"k{n}" for n in range(8)]
    probed = document("probe", *line, "--shots", 4, "--no-checkpoint", "--out", "run")
    assert set(probed["probe"]["ids"]) < {f"k{n}" for n in range(8)}
    # The report reads the run's items again, by the names they had.
    assert document("report", "run")["runs"] == ["run"]
    again = ("probe", "--model", llm, "--task", path, "--scoring", "likelihood", "--shots", 4)
    other = run(*again, *COLUMNS[:1], COLUMNS[1] + ",hint=gold", "--out", "run", "--no-checkpoint")
    assert other.exit_code == 1
    assert "hint" in other.stderr


def test_a_column_that_is_not_there_names_the_file_and_those_that_are(write_rows) -> None:
    path = own_rows(write_rows)
    result = run("tasks", "check", path, "--columns", "question=stam")
    assert result.exit_code == 1
    assert "quiz.jsonl has no column 'stam', only gold, key, opts, stem" in result.stderr
    assert "no field 'qestion'" in refusal("tasks", "check", path, "--columns", "qestion=stem")


def test_every_answer_of_the_data_is_a_choice_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "moods.csv"
    path.write_text("text,label\nYes!,joy\nOh no,fear\nHurrah,joy\nAlas,grief\n")
    columns = ("--columns", "question=text,answer=label")
    checked = document("tasks", "check", path, *columns, "--choices-from", "answer")
    assert checked["chance"] == pytest.approx(1 / 3)
    assert document("tasks", "check", path, *columns)["chance"] == 0


def test_a_run_keeps_what_it_was_asked_with(vlm: Path, copies: Path) -> None:
    line = (
        "probe", "--model", vlm, "--task", "scienceqa/topic-geography", "--data", copies,
        "--prompt", "vlmevalkit", "--system", "Be terse.", "--few-shot", 1, "--shots", 2,
        "--no-checkpoint", "--out", "run",
    )  # fmt: skip
    probed = document(*line)
    assert probed["task"] == "scienceqa/topic-geography"
    for words in (
        "--prompt vlmevalkit",
        "--system 'Be terse.'",
        "--few-shot 1",
        f"--data {copies}",
    ):
        assert words in probed["command"]
    # Read again without being told where the data is.
    assert document("report", "run")["report"] == "run/report.html"
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert manifest["request"]["task_words"] == {"few_shot": 1}
    for less in ("--few-shot", "--prompt", "--system"):
        at = line.index(less)
        refused = run(*line[:at], *line[at + 2 :])
        assert refused.exit_code == 1
        assert "holds a run of another request" in refused.stderr


def test_the_first_line_says_which_maps_are_meant(vlm: Path, copies: Path) -> None:
    demo = run("evaluate", "--task", "maps", "--limit", 1)
    assert demo.stderr.startswith(
        "task maps: the bundled demo's own, demo/maps; with another model"
    )
    assert "scienceqa/maps" in demo.stderr.splitlines()[0]
    other = run("evaluate", "--task", "maps", "--model", vlm, "--data", copies)
    assert other.stderr.startswith("task maps: scienceqa/maps, of ScienceQA")
    line = ("probe", "--model", vlm, "--task", "maps", "--data", copies, "--shots", "all")
    probed = run(*line)
    assert probed.exit_code == 0, probed.output
    assert probed.stderr.startswith("task maps: scienceqa/maps, of ScienceQA")
    assert probed.stdout.splitlines()[0].split()[:2] == ["task", "scienceqa/maps,"]


def test_check_prints_everything_before_any_model_is_loaded(tmp_path: Path, write_rows) -> None:
    rows = [
        {"id": f"q{n}", "question": f"Number {n}?", "choices": ["x", "y"], "answer": n % 2,
         "category": "even" if n % 2 else "odd"}
        for n in range(60)
    ]  # fmt: skip
    again = {**rows[0], "id": "again", "question": "number 0"}
    held_out = write_rows({**rows[1], "id": "seen"}, name="held_out.jsonl")
    result = run("tasks", "check", write_rows(*rows, again), "--against", held_out)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    for words in (
        "61 items in 61 groups, 61 multiple choice, 0 free-form, 0 pictures, chance 50 %",
        "right answers by letter: A 31, B 30",
        "categories: even 30, odd 31",
        "duplicates: q0 = again",
        f"leakage between splits: 1 sets of the same item could be parted, 1 with {held_out}",
        "power: with the 41 items left after probing a gain of 18.",
        "points will probably be confirmed (4 chances in 5) if no answer turns wrong",
        "warning: The items q0, again ask the same but could come to lie on both sides",
    ):
        assert words in said, words


def test_a_files_mistakes_are_told_ten_at_once(write_rows) -> None:
    rows = [{"question": f"{n}?", "choices": ["x", "y"], "answer": "Z"} for n in range(13)]
    result = run("probe", "--task", write_rows(*rows), "--quiet")
    assert result.exit_code == 1
    head, *listed = result.stderr.strip().splitlines()
    assert head.endswith("quiz.jsonl has 13 problems:")
    assert listed[0] == "  line 1, field 'answer': 'Z' is none of the choices A to B"
    assert (len(listed), listed[-1]) == (11, "  ... and 3 more")


def test_a_yamls_code_runs_only_where_it_is_trusted(llm: Path, tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text("def text(doc): return 'Q: ' + doc['q']\n")
    (tmp_path / "rows.jsonl").write_text('{"q": "1 + 1 =", "gold": "2"}\n')
    (tmp_path / "sums.yaml").write_text(
        "task: sums\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n"
        "test_split: test\ndoc_to_text: !function utils.text\ndoc_to_target: gold\n"
    )
    line = ("tasks", "sums.yaml", "--show", 1, "--model", llm)
    assert "doc_to_text: utils.text" in refusal(*line)
    shown = document(*line, "--trust-remote-code")
    assert (shown["task"], shown["items"][0]["text"]) == ("sums", "Q: 1 + 1 =")
    evaluated = document("evaluate", "--task", "sums.yaml", "--model", llm, "--trust-remote-code")
    assert (evaluated["task"], evaluated["n"]) == ("sums", 1)


def test_a_saved_data_sets_own_columns_can_be_named(tmp_path: Path) -> None:
    import datasets

    rows = [{"stem": "Which?", "opts": ["x", "y"], "gold": n} for n in (0, 1)]
    rows[1]["stem"] = "Other?"
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    checked = document(
        "tasks", "check", tmp_path / "saved", "--columns", "question=stem,choices=opts,answer=gold"
    )
    assert (checked["items"], checked["letters"]) == (2, {"A": 1, "B": 1})
