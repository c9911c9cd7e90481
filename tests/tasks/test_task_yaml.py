"""Task YAMLs of other harnesses: what is read, what is refused, and that no code runs unasked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import datasets
import pytest
from small_pictures import encoded

from talo_export.errors import TaloError, UsageError
from talo_export.requests.settings import TaskWithShots
from talo_export.runs.chosen_task import load_chosen
from talo_export.tasks.item import Task
from talo_export.tasks.prompts import render
from talo_export.tasks.sources import load_task

ROWS = [
    {"q": "Is water wet", "options": ["no", "yes"], "gold": 1},
    {"q": "Is fire cold", "options": ["no", "yes"], "gold": 0},
]
BASE = """
task: tiny
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Q: {{q}}?\\nA:"
doc_to_choice: "{{options}}"
doc_to_target: gold
"""


def write(folder: Path, text: str, rows: list[dict] = ROWS) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def load(folder: Path, text: str, rows: list[dict] = ROWS, **options) -> Task:
    return load_task(str(write(folder, text, rows)), **options)


def test_a_multiple_choice_task_becomes_verbatim_prompts(tmp_path: Path) -> None:
    task = load(tmp_path, BASE)
    assert task.name == "tiny"
    assert [(i.prompt, i.choices, i.answer, i.delimiter) for i in task.items] == [
        ("Q: Is water wet?\nA:", ("no", "yes"), 1, " "),
        ("Q: Is fire cold?\nA:", ("no", "yes"), 0, " "),
    ]


@pytest.mark.parametrize(
    ("target", "answer"), [("1", 1), ('"{{gold}}"', 1), ('"{{options[gold]}}"', 1), ('"yes"', 1)]
)
def test_a_target_is_an_index_or_a_choices_text(tmp_path: Path, target: str, answer: int) -> None:
    text = BASE.replace("doc_to_target: gold", f"doc_to_target: {target}")
    assert load(tmp_path, text).items[0].answer == answer


def test_description_prefix_and_delimiter_are_part_of_the_prompt(tmp_path: Path) -> None:
    text = BASE + 'description: "Say yes or no.\\n\\n"\ngen_prefix: So\ntarget_delimiter: "_"\n'
    item = load(tmp_path, text).items[0]
    assert render(item).text == "Say yes or no.\n\nQ: Is water wet?\nA:_So"
    assert item.delimiter == "_"


def test_generated_answers_end_at_until_and_ignore_what_the_metric_ignores(tmp_path: Path) -> None:
    text = (
        BASE.replace("multiple_choice", "generate_until")
        .replace('doc_to_choice: "{{options}}"\n', "")
        .replace("doc_to_target: gold", 'doc_to_target: "because #### {{gold}}"')
        + 'generation_kwargs: {until: ["\\n", "."]}\n'
        + 'metric_list: [{metric: exact_match, regexes_to_ignore: ["(?s).*#### "]}]\n'
    )
    item = load(tmp_path, text).items[0]
    assert (item.accepted, item.until, item.choices) == (("1",), ("\n", "."), ())


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("max_gen_toks: 12", 12), ("max_completion_tokens: 9", 9),
        ("max_tokens: 5, max_new_tokens: 7", 7),
        ("max_length: 900", 256),  # of prompt and answer together
        ("", 256),
    ],
)  # fmt: skip
def test_an_answer_gets_as_many_tokens_as_lm_eval_gives_it(
    given: str, tokens: int, tmp_path: Path
) -> None:
    text = (
        BASE.replace("multiple_choice", "generate_until").replace(
            'doc_to_choice: "{{options}}"\ndoc_to_target: gold', 'doc_to_target: "{{options}}"'
        )
        + f"generation_kwargs: {{{given}}}\n"
    )
    assert load(tmp_path, text).items[0].max_new_tokens == tokens
    assert load(tmp_path, BASE).items[0].max_new_tokens is None


def test_several_targets_are_accepted_texts(tmp_path: Path) -> None:
    text = BASE.replace("multiple_choice", "generate_until").replace(
        'doc_to_choice: "{{options}}"\ndoc_to_target: gold', 'doc_to_target: "{{options}}"'
    )
    assert load(tmp_path, text).items[0].accepted == ("no", "yes")


def test_lmms_eval_texts_go_through_the_chat_template_with_their_pictures(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(encoded())
    text = BASE.replace('"Q: {{q}}?\\nA:"', '"<image>{{q}}?"') + "doc_to_visual: picture\n"
    item = load(tmp_path, text, [ROWS[0] | {"picture": "red.png"}]).items[0]
    prompt = render(item)
    assert (prompt.text, prompt.verbatim, len(prompt.images)) == ("Is water wet?", False, 1)
    assert render(item, style="vlmevalkit").text == prompt.text


def test_choices_that_are_letters_are_read_as_letters(tmp_path: Path) -> None:
    text = BASE.replace('"{{options}}"', '["A", "B"]') + "lmms_eval_specific_kwargs: {}\n"
    assert render(load(tmp_path, text).items[0]).lettered


def test_an_include_beside_the_file_is_merged_in_under_its_own_keys(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text(BASE)
    task = load(tmp_path, "include: _base\ntask: other\ndoc_to_text: q\n")
    assert task.name == "other"
    assert task.items[0].prompt == "Is water wet"


@pytest.mark.parametrize("name", ["../_base", "/etc/passwd", "folder/_base"])
def test_an_include_from_anywhere_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="only a file beside it is read"):
        load(tmp_path, f"include: {name}\n")


def test_a_file_that_includes_itself_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="includes itself"):
        load(tmp_path, "include: tiny.yaml\n")


CODE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def text(doc): return "Q: " + doc["q"]
def process(docs): return docs.map(lambda doc: {"q": doc["q"].upper()})
"""


@pytest.mark.parametrize("key", ["doc_to_text", "doc_to_choice", "doc_to_target", "process_docs"])
def test_a_function_is_refused_by_name_and_its_module_is_not_run(tmp_path: Path, key: str) -> None:
    (tmp_path / "utils.py").write_text(CODE)
    text = BASE + f"{key}: !function utils.text\n"
    with pytest.raises(UsageError, match=rf"{key}: utils\.text.*--trust-remote-code"):
        load(tmp_path, text)
    assert not (tmp_path / "ran").exists()


def test_a_trusted_files_functions_are_run(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text(CODE)
    text = BASE + "doc_to_text: !function utils.text\nprocess_docs: !function utils.process\n"
    item = load(tmp_path, text, trust_remote_code=True).items[0]
    assert item.prompt == "Q: IS WATER WET"
    assert not (tmp_path / "__pycache__").exists(), "nothing is left beside somebody's files"


def test_a_trusted_files_functions_leave_nothing_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "copies" / "me" / "tiny"
    folder.mkdir(parents=True)
    datasets.Dataset.from_list(ROWS).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    (tmp_path / "utils.py").write_text(CODE)
    text = BASE.replace("dataset_path: json", "dataset_path: me/tiny")
    text = re.sub(r"dataset_kwargs:.*\n(?: .*\n)*", "", text)
    path = write(tmp_path, text + "process_docs: !function utils.process\n")
    before = sorted(tmp_path.rglob("*"))
    task = load_task(str(path), data=tmp_path / "copies", trust_remote_code=True)
    assert "IS WATER WET" in str(task.items[0].prompt)
    assert sorted({*tmp_path.rglob("*")} - {tmp_path / "ran"}) == before


def test_few_shot_0_leaves_a_files_own_examples_out(tmp_path: Path) -> None:
    path = write(tmp_path, BASE + "num_fewshot: 1\n")
    for few_shot, shown in ((None, 1), (0, 0)):
        choice = TaskWithShots(path, few_shot=few_shot)
        task = load_chosen(choice, model_is_demo=False)
        assert [len(item.shots) for item in task.items] == [shown] * len(ROWS)


VISUAL = """
def pictures(doc): return [doc["photo"].convert("RGB")] * doc["times"]
def text(doc, wording): return wording["pre"] + doc["q"] + wording["post"]
def kept(docs): return docs.filter(lambda doc: doc["times"] > 0)
"""
LMMS = """
task: seen
dataset_path: me/seen
test_split: test
output_type: generate_until
doc_to_visual: !function utils.pictures
doc_to_text: !function utils.text
doc_to_target: gold
process_docs: !function utils.kept
lmms_eval_specific_kwargs:
  default: {pre: "Look. ", post: " Be short."}
  qwen_vl: {pre: "", post: ""}
"""


def test_an_lmms_eval_file_makes_its_pictures_and_texts_by_trusted_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "copies" / "me" / "seen"
    folder.mkdir(parents=True)
    rows = [
        {"q": f"{color}?", "gold": color, "times": times, "photo": {"bytes": encoded(color)}}
        for color, times in (("red", 0), ("blue", 1), ("green", 2))
    ]
    table = datasets.Dataset.from_list(rows).cast_column("photo", datasets.Image())
    table.to_parquet(str(folder / "test-00000-of-00001.parquet"))
    path = write(tmp_path, LMMS)
    (tmp_path / "utils.py").write_text(VISUAL)
    with pytest.raises(UsageError, match=r"doc_to_visual: utils\.pictures"):
        load_task(str(path), data=tmp_path / "copies")
    task = load_task(str(path), data=tmp_path / "copies", trust_remote_code=True)
    assert [(i.accepted, len(i.images)) for i in task.items] == [(("blue",), 1), (("green",), 2)]
    assert render(task.items[0]).text == "Look. blue? Be short."
    assert task.items[1].images[1].open().getpixel((0, 0)) == (0, 128, 0)


def test_a_trusted_function_that_fails_names_the_row_and_itself(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text("def text(doc): return doc['nothing']\n")
    with pytest.raises(TaloError, match=r"line 1, field 'doc_to_text': utils\.text fails \(KeyE"):
        load(tmp_path, BASE + "doc_to_text: !function utils.text\n", trust_remote_code=True)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "utils.py").write_text("import a_module_that_nobody_has\n")
    other = BASE + "doc_to_text: !function utils.text\n"
    with pytest.raises(TaloError, match=r"utils\.py.*cannot be imported.*ModuleNotFound"):
        load(tmp_path / "more", other, trust_remote_code=True)


def test_functions_that_only_score_are_not_needed(tmp_path: Path) -> None:
    """Of lmms-eval's: most of its tasks have one, to read answers as ours are read anyway."""
    lmms = BASE + "lmms_eval_specific_kwargs: {}\n"
    assert len(load(tmp_path, lmms + "process_results: !function utils.score\n")) == 2


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("process_results: !function utils.score", "what is right (process_results: utils.score)"),
        ("metric_list: [{metric: bleu}, {metric: rouge1}]", "is scored by bleu, rouge1"),
        ("metric_list: [{metric: !function utils.own}]", "is scored by utils.own"),
        ("class: !function task.Squad", "made by code of its own (task.Squad)"),
        ("task: [mmlu_stem, {task: arc_easy}]", "is a group of tasks (mmlu_stem, arc_easy)"),
        ("test_split: 'test[:10%]'", "the split test[:10%] is not supported"),
        ("dataset_kwargs: {data_files: {test: [a.jsonl, b.jsonl]}}", "not one file"),
        ("num_fewshot: 1\nfewshot_config: {doc_to_text: q}", "fewshot_config with doc_to_text"),
        ("num_fewshot: 1\nfewshot_delimiter: '#'", "fewshot_delimiter '#' is not supported"),
        ("num_fewshot: 2", "shows 2 examples, but there are 1"),
    ],
)
def test_what_would_be_asked_or_scored_otherwise_is_refused_by_name(
    tmp_path: Path, extra: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, BASE + extra + "\n")
    assert words in str(caught.value)


def test_a_part_of_a_split_is_those_rows(tmp_path: Path) -> None:
    for part, expected in (("[:1]", [ROWS[0]]), ("[1:]", [ROWS[1]]), ("[-1:]", [ROWS[1]])):
        task = load(tmp_path, BASE + f"test_split: test{part}\n")
        assert [item.answer for item in task.items] == [row["gold"] for row in expected]


def test_a_stop_given_as_one_text_is_one_stop(tmp_path: Path) -> None:
    text = BASE.replace("multiple_choice", "generate_until")
    text = text.replace('doc_to_choice: "{{options}}"\n', "")
    item = load(tmp_path, text + "generation_kwargs: {until: stop}\n").items[0]
    assert item.until == ("stop",)


def test_a_documents_own_id_is_its_items(tmp_path: Path) -> None:
    rows = [row | {"id": key} for row, key in zip(ROWS, ("x", 7), strict=True)]
    assert [item.id for item in load(tmp_path, BASE, rows).items] == ["x", "7"]


def test_data_files_are_looked_for_where_the_command_is_started_and_beside_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(load(tmp_path, BASE)) == 2
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    monkeypatch.chdir(tmp_path / "start")
    assert len(load(tmp_path, BASE)) == 1


@pytest.mark.parametrize("missing", ["utils.py", "function"])
def test_a_trusted_function_that_is_not_there_is_told(tmp_path: Path, missing: str) -> None:
    if missing == "function":
        (tmp_path / "utils.py").write_text("x = 1\n")
    with pytest.raises(TaloError, match=r"utils\.py"):
        load(tmp_path, BASE + "doc_to_text: !function utils.text\n", trust_remote_code=True)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("output_type: loglikelihood_rolling", "output_type loglikelihood_rolling"),
        ("use_prompt: promptsource:x", "'use_prompt'"),
        ("custom_dataset: !function utils.make", "'custom_dataset'"),
        ("doc_to_image: !function utils.image", "doc_to_image: utils.image"),
        ("test_split: null", "neither a test_split"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, extra: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, BASE + extra + "\n")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("doc_to_text: '{{nothing}}'", "line 1: The template '{{nothing}}' cannot be filled"),
        ("doc_to_text: '{{q'", "cannot be filled"),
        ("doc_to_target: '{{q}}'", "field 'doc_to_target': gives 'Is water wet'"),
        ("doc_to_target: 7", "gives 7, which is none of the choices"),
        ("doc_to_choice: '{{q}}'", "field 'doc_to_choice'"),
        ("doc_to_text: '{{gold}}'", "one context per choice is not supported"),
        ("doc_to_text: null", "it has no 'doc_to_text'"),
    ],
)
def test_a_yaml_that_does_not_fit_its_rows_is_told_by_row(tmp_path, extra, words) -> None:
    with pytest.raises(TaloError) as caught:
        load(tmp_path, BASE + extra + "\n")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ q.__init__.__globals__ }}",
        "{% for x in range(999999999) %}{% endfor %}",
        "{{ cycler.__init__.__globals__.os.system('touch ran') }}",
    ],
)
def test_templates_cannot_leave_the_sandbox(tmp_path: Path, template: str) -> None:
    with pytest.raises(TaloError):
        load(tmp_path, BASE + f"doc_to_text: {json.dumps(template)}\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["[1, 2]", "a: [", "plain words", "", f"a: {'9' * 5000}", f"a: {'[' * 2000}"]
)
def test_a_yaml_that_is_no_task_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(TaloError, match=r"tiny\.yaml"):
        load(tmp_path, text)


def test_a_yaml_cannot_make_python_objects(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="not valid YAML"):
        load(tmp_path, BASE + "x: !!python/object/apply:os.getcwd []\n")


def test_a_yaml_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match=r"gone\.yaml cannot be read"):
        load_task(str(tmp_path / "gone.yaml"))
