"""The report page: complete in itself, honest in its first sentence, safe with any text."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import CONFIRMED, CONSTANT
from run_examples import case, item, run

from talo_export.evidence.analyses.cases import Cases
from talo_export.publish.charts import every, scale, span
from talo_export.publish.report import RunPage, render_report

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """The elements of a page; fails where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def having(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of one class."""
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]


def page(*runs: RunPage) -> Page:
    return Page(render_report(runs, versions={"talo-export": "0.1.0"}, date="2026-11-21"))


def test_the_page_asks_no_network_for_anything() -> None:
    text = render_report([run()])
    for _, attributes in Page(text).elements:
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert target == "" or target.startswith(("data:", "#"))
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("confirmed", "on 180 items it never saw: confirmed."),
        ("unconfirmed", "on 180 items it never saw: not confirmed."),
        ("harmful", "on 180 items it never saw: it harms."),
    ],
)
def test_the_summary_is_the_verdict_on_unseen_items(verdict: str, says: str) -> None:
    judged = run(confirm=replace(CONFIRMED, verdict=verdict))
    assert f"Without layer 14's attention 56 % become 61 % {says}" in page(judged).text


def test_a_run_that_keeps_the_base_says_so() -> None:
    text = page(run(selected_layer=None)).text
    assert "Keep the base: no layer's cut is worth it on 20 items." in text
    assert "nothing to confirm" in text


@pytest.mark.parametrize("n", [1, 8, 80])
def test_every_layer_has_a_bar_and_a_row_and_only_the_chosen_one_is_marked(n: int) -> None:
    shown = page(run(n))
    slots = shown.having("slot")
    assert len(slots) == n
    assert [slot["class"] for slot in slots].count("slot chosen") == 1
    assert slots[n // 2]["title"] == f"layer {n // 2}: +20.0 points, accuracy 75.0 %, chosen"


def test_a_layer_chosen_without_a_gain_is_marked_but_not_as_a_gain() -> None:
    flat = run(8)
    probe = flat.result.probe
    gains = tuple(0.0 if layer == 4 else gain for layer, gain in enumerate(probe.gains))
    shown = page(replace(flat, result=replace(flat.result, probe=replace(probe, gains=gains))))
    assert [slot["class"] for slot in shown.having("slot")].count("slot chosen flat") == 1
    assert len(shown.having("flat")) == 2  # Its bar, and its row of the table.


def test_an_interval_and_an_exact_test_that_disagree_are_explained() -> None:
    assert "p, exact test" in page(run()).text
    assert "at the edge" not in page(run()).text
    assert "at the edge" in page(run(confirm=replace(CONFIRMED, p_value=0.07))).text


def test_a_gain_that_one_choice_everywhere_gets_too_says_so_in_its_first_sentence() -> None:
    assert (
        "it never saw, no more than one choice everywhere gets: confirmed."
        in page(run(confirm=CONSTANT)).text
    )


def test_what_was_not_measured_is_said_to_be_so() -> None:
    bare = RunPage(run(evidence=None, side_effects=None).result)
    text = page(bare).text
    assert text.count("Not measured.") == 2
    for heading in (
        "Answers that turned",
        "Compared with other methods",
        "the layer or the letter",
    ):
        assert heading not in text


def test_a_method_that_failed_is_a_row_that_says_so() -> None:
    shown = page(run())
    assert "58.0 % ± 2.0 (1 of 3 diverged)" in shown.text
    assert "3 of 3 out of memory" in shown.text
    assert "At 20 shots lora is the most accurate: 58.0 %" in shown.text


def test_pictures_stand_in_the_page_and_are_small() -> None:
    one = Cases(14, 180, (case(0),), ())
    shown = page(replace(run(), cases=one))
    (picture,) = [a for tag, a in shown.elements if tag == "img"]
    assert (picture["src"] or "").startswith("data:image/png;base64,")
    assert len(picture["src"] or "") < 5_000


def test_the_cases_shown_are_told_from_all_that_turned() -> None:
    shown = page(run())
    assert "Turned right (6 of 11, the largest changes)" in shown.text
    assert "Turned wrong (5)" in shown.text
    assert len(shown.having("case")) == 11


def test_only_a_confirmed_run_is_offered_to_be_pushed() -> None:
    checkpoint = Path("runs/maps/checkpoint")
    assert "talo-export push runs/maps OWNER/NAME" in page(run(checkpoint=checkpoint)).text
    unsure = run(checkpoint=checkpoint, confirm=replace(CONFIRMED, verdict="unconfirmed"))
    assert "talo-export verify runs/maps/checkpoint" in page(unsure).text
    assert "talo-export push" not in page(unsure).text


def test_every_line_to_copy_is_quoted_and_asks_what_it_says() -> None:
    spaced = Path("my runs/it's maps")
    shown = page(run(run=spaced, checkpoint=spaced / "checkpoint", auto_class="AutoModel"))
    lines = re.findall("talo-export (?:ask|verify|push) .*", shown.text)
    assert [shlex.split(line)[1:3] for line in lines] == [
        ["ask", str(spaced)], ["verify", str(spaced / "checkpoint")], ["push", str(spaced)],
    ]  # fmt: skip


def test_the_result_comes_first_then_why_to_believe_it_then_the_rest() -> None:
    text = page(run()).text
    order = (
        "it never saw: confirmed", "p, exact test", "Why to believe it", "Every layer, on",
        "Stability", "Answers that turned", "other tasks", "The run", "Run it again",
    )  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_run_that_probed_every_item_says_that_nothing_is_confirmed() -> None:
    text = page(run(shots=None, selected_layer=None, confirm=None)).text
    assert "Every item was probed: no layer was selected" in text
    assert "keep the base" not in text


def test_several_runs_make_one_page_with_a_table_of_all() -> None:
    shown = page(run(), run(task="capitals"))
    assert [a["href"] for tag, a in shown.elements if tag == "a"] == ["#run1", "#run2"]
    assert "2 runs of Base-2B" in shown.text


def test_no_path_of_this_machine_is_shown() -> None:
    assert "/home/someone" not in render_report([run()])


@settings(max_examples=25)
@given(text=st.text(max_size=30), more=st.sampled_from(["<script>x</script>", '"><i>', "{{ 7 }}"]))
def test_text_from_a_task_or_a_model_is_only_ever_text(text: str, more: str) -> None:
    said = text + more
    probe = replace(run(8).result.probe, reason=said)
    wild = replace(
        run(8, task=said, task_source=said, probe=probe, command=said),
        cases=Cases(4, 180, (case(0, answer=said),), ()),
        items={"maps/0": item(0, question=said, choices=(said,))},
    )
    usual = page(run(8)).elements
    shown = page(wild)
    assert [tag for tag, _ in shown.elements].count("script") == 1
    assert {tag for tag, _ in shown.elements} <= {tag for tag, _ in usual}
    assert more in shown.text


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_an_axis_holds_every_value_and_zero_between_round_ticks(values: list[float]) -> None:
    axis = scale(values)
    assert axis.low <= min([0.0, *values]) + 1e-9
    assert axis.high >= max([0.0, *values]) - 1e-9
    assert any(abs(tick) < 1e-12 for tick in axis.ticks)
    assert 2 <= len(axis.ticks) <= 7
    assert all(0 <= axis.at(value) <= 100 for value in values)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_span_runs_from_the_lower_to_the_upper_end(one: float, other: float) -> None:
    axis = scale([one, other])
    box = span(axis, one, other)
    assert box == span(axis, other, one)
    assert box.start == min(axis.at(one), axis.at(other))


@given(st.integers(1, 5000))
def test_columns_are_labelled_sparsely_enough(n: int) -> None:
    step = every(n, most=12)
    assert len(range(0, n, step)) <= 12
