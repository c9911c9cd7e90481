"""Thoughts, invented questions, and numbers in words: what of a text is the answer."""

from __future__ import annotations

import pytest

from talo_export.tasks.answers import read_answer
from talo_export.tasks.item import Item
from talo_export.tasks.thoughts import left_open

CITY = Item(
    id="i", group="i", question="?", choices=("Paris", "Rome", "New York", "York"), answer=2
)


def free(accepted: str) -> Item:
    return Item(id="i", group="i", question="?", accepted=(accepted,))


THINKING = [
    "<think>{}</think>",
    "<thinking>\n{}\n</thinking>\n",
    "<reasoning>{}</reasoning>",
    "<Thought>{}</Thought>",
    "<analysis>{}</analysis>",
    "<reflection>{}</reflection>",
    "<seed:think>{}</seed:think>",
    "◁think▷{}◁/think▷",
    "[THINK]{}[/THINK]",
    "<|begin_of_thought|>{}<|end_of_thought|><|begin_of_solution|>",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>",
    "<|channel>thought\n{}<channel|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysis{}assistantfinal",
    "Here is my thought process: {} Here is my response: ",
]


@pytest.mark.parametrize("marks", THINKING)
@pytest.mark.parametrize("said", ["C", "The answer is C.", "New York", "<answer>C</answer>"])
def test_thoughts_are_no_answer_and_what_follows_them_is(marks: str, said: str) -> None:
    assert read_answer(marks.format("The answer is A. Or B?") + said, CITY).choice == 2


@pytest.mark.parametrize("marks", THINKING)
def test_thoughts_that_never_end_hold_no_answer(marks: str) -> None:
    assert not read_answer(marks.partition("{}")[0] + "The answer is C", CITY).parsed
    assert not read_answer(marks.partition("{}")[0] + "So it is 42", free("42")).parsed


@pytest.mark.parametrize(
    "prompt", ["user: ?\n<think>\n", "<|channel|>analysis<|message|>", "x [THINK]", "<reasoning>"]
)
def test_a_prompt_can_leave_the_thoughts_open(prompt: str) -> None:
    mark = left_open(prompt)
    assert mark
    assert not read_answer(f"{mark}The answer is C", CITY).parsed


@pytest.mark.parametrize("prompt", ["", "user: ?\nassistant:", "<think>\n\n</think>\n\n"])
def test_other_prompts_leave_nothing_open(prompt: str) -> None:
    assert left_open(prompt) == ""


@pytest.mark.parametrize(
    "said",
    [
        "<answer>C</answer>",
        "<reasoning>A?</reasoning><answer> New York </answer>",
        "A city (A) or (B)? <answer>\nC\n</answer>",
        "It was <|begin_of_box|>C<|end_of_box|>",
        "<answer>C",
        "<think>A</think>C<think>or B",
        "C<think>or was it B?</think>",
    ],
)
def test_what_stands_in_the_answers_tag_is_the_answer(said: str) -> None:
    assert read_answer(said, CITY).choice == 2


INVENTED = [
    "\n\nQuestion: Which?\nA. x\nB. y\nAnswer: A",
    "\nQuestion 2: Which?\nThe answer is A.",
    "\n\n**Question:** Which?\n**Answer:** B",
    "\n\nQ: Which?\nA: B",
    "\n\nNext question: Which?\nB",
    "\nUser: and this?\nAssistant: A",
    "\n\nHuman: and this?\n\nAssistant: The answer is B.",
    "\n### Instruction:\nWhich?\n### Response:\nB",
    "\n\nProblem 3. Which?\nThe answer is B.",
    "\n\nWhat is the capital of Italy?\nThe answer is B.",
    "\n问题：哪个？\n答案：B",
    "<|im_end|>\n<|im_start|>user\nB",
    "<end_of_turn>\n<start_of_turn>user\nB",
    "</s>[INST] Which? [/INST] B",
]


@pytest.mark.parametrize("invented", INVENTED)
@pytest.mark.parametrize("said", ["C", "The answer is C.", "New York"])
def test_a_question_that_the_model_invents_is_none_of_the_answer(said: str, invented: str) -> None:
    assert read_answer(said + invented, CITY).choice == 2


@pytest.mark.parametrize("invented", INVENTED)
def test_nor_of_a_free_answer(invented: str) -> None:
    assert read_answer("Paris" + invented, free("Paris")).correct
    assert read_answer("The answer is 42." + invented + " 12", free("42")).correct


@pytest.mark.parametrize(
    "said",
    [
        "Question: Which city?\nAnswer: C",
        "Let me think.\nQuestion: which city is it?\nThe answer is C.",
        "Let me see.\n\nWhat is the skyline?\n\nThe answer is C.",
    ],
)
def test_a_question_before_the_answer_is_no_invented_one(said: str) -> None:
    assert read_answer(said, CITY).choice == 2


@pytest.mark.parametrize(
    "said",
    ["It's Paris", "It’s Paris.", "That's Paris.", "I think it's Paris.", "I think Paris",
     "Probably Paris.", "Well, it's Paris", "It is Paris", "Paris.\nIt's in France."],
)  # fmt: skip
def test_a_free_answer_may_be_a_sentence(said: str) -> None:
    assert read_answer(said, free("Paris")).correct


@pytest.mark.parametrize("said", ["It's not Paris", "It's Rome", "I'd say Paris or Rome"])
def test_a_sentence_that_says_another_thing_is_wrong(said: str) -> None:
    reading = read_answer(said, free("Paris"))
    assert reading.parsed
    assert not reading.correct


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("42", "The answer is 42. I checked 3 times."),
        ("42", "It is 42. I checked it 3 times."),
        ("42", "42. I counted three times."),
        ("42", "The answer is 42, that is 40 and 2."),
        ("42", "I am 90% sure it is 42."),
        ("42", "40 + 2 = 42. That took 3 steps."),
        ("-7", "minus 7"),
        ("-7", "The answer is minus seven."),
        ("-7", "negative 7"),
        ("-7", "−7"),
        ("3", "10 minus 7 = 3"),
        ("100", "one hundred"),
        ("100", "There are a hundred people."),
        ("125", "one hundred and twenty-five"),
        ("2005", "two thousand and five"),
        ("1300", "thirteen hundred"),
        ("3.5", "three point five"),
        ("-3.5", "negative three point five"),
        ("12", "a dozen"),
        ("0.5", "half"),
        ("0.5", "½"),
        ("1.5", "1½"),
        ("1.5", "1 1/2"),
        ("0.75", "three quarters"),
        ("0.5", "\\frac{1}{2}"),
        ("5000000", "5 million"),
        ("1000", "10^3"),
        ("1000", "10³"),
        ("1000", "$10^{3}$"),
        ("0.001", "10^-3"),
        ("120000", "1.2 × 10^5"),
        ("120000", "$1.2 \\times 10^{5}$"),
        ("10^3", "1000"),
        ("one hundred", "100"),
        ("minus seven", "-7"),
        ("-5", "-$5"),
        ("12", "12 percent"),
        ("8", "The answer is eight. Let me double check: 3+5."),
        ("42", "The answer is 42\nConfidence: 95%"),
        ("42", "The answer is 42. Let me know if you have 2 more questions."),
        ("42", "Step 1: 40. Step 2: 42. The answer is 42."),
        ("3.14", "three point one four"),
        ("1,234.5", "1234.5"),
    ],
)  # fmt: skip
def test_a_number_may_be_said_in_words_and_beside_others(accepted: str, said: str) -> None:
    assert read_answer(said, free(accepted)).correct


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("3", "The answer is 42. I checked 3 times."),
        ("3", "It is 42. I checked 3 times."),
        ("7", "minus seven"),
        ("1", "one hundred"),
        ("3", "10^3"),
        ("10", "10^3"),
        ("20", "twenty-one"),
        ("25", "1/25"),
        ("5", "five hundred"),
        ("10^3", "10^-3"),
    ],
)
def test_a_part_of_a_number_is_not_the_number(accepted: str, said: str) -> None:
    assert not read_answer(said, free(accepted)).correct


@pytest.mark.parametrize("said", ["10^999999999", "9" * 6000, "1e999", "0^-1", "10^10^10"])
def test_numbers_beyond_all_bounds_are_no_trouble(said: str) -> None:
    assert not read_answer(said, free("12")).correct
    assert not read_answer("12", free(said)).correct
