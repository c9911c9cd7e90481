"""The report page: complete in itself, honest in its first sentence, safe with any text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_examples import case, run

from talo_export.publish.charts import every, scale, span
from talo_export.publish.report import render_report, summary
from talo_export.publish.report_facts import ReportFacts, RunFacts, run_facts

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


def page(*runs: RunFacts) -> Page:
    return Page(render_report(ReportFacts(runs, (("talo-export", "0.1.0"),), "2026-11-21")))


def test_the_page_asks_no_network_for_anything() -> None:
    text = render_report(ReportFacts((run(),)))
    for _, attributes in Page(text).elements:
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert target == "" or target.startswith(("data:", "#"))
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("confirmed", "Knocking out layer 14 helps maps: +5.0 points on 180 items never probed"),
        ("unconfirmed", "its gain is not confirmed: +5.0 points"),
        ("harmful", "and it harms: +5.0 points"),
    ],
)
def test_the_summary_is_the_verdict_on_unseen_items(verdict: str, says: str) -> None:
    facts = run()
    assert facts.unseen is not None
    judged = replace(facts, unseen=replace(facts.unseen, verdict=verdict))
    assert says in summary(judged)
    assert says in page(judged).text


def test_a_run_that_keeps_the_base_says_so() -> None:
    text = page(run(selected=None)).text
    assert "No layer earns a knockout on maps: keep the base." in text
    assert "nothing to confirm" in text


@pytest.mark.parametrize("n", [1, 8, 80])
def test_every_layer_has_a_bar_and_a_row_and_only_the_chosen_one_is_marked(n: int) -> None:
    shown = page(run(n))
    slots = shown.having("slot")
    assert len(slots) == n
    assert [slot["class"] for slot in slots].count("slot chosen") == 1
    assert slots[n // 2]["title"] == f"layer {n // 2}: +20.0 points, accuracy 75.0 %, chosen"


def test_what_was_not_measured_is_said_to_be_so() -> None:
    bare = replace(
        run(),
        stability=None,
        side_effects=None,
        calibration=None,
        cases=(),
        comparison=(),
        cost=None,
    )
    text = page(bare).text
    assert text.count("Not measured.") == 2
    for heading in ("Answers that turned", "Compared with other methods", "Cost"):
        assert heading not in text


def test_a_method_that_failed_is_a_row_that_says_so() -> None:
    shown = page(run())
    assert "58.0 % ± 2.0 (1 of 3 diverged)" in shown.text
    assert "3 of 3 out of memory" in shown.text
    assert "At 20 shots lora is the most accurate." in shown.text


def test_pictures_stand_in_the_page_and_are_small() -> None:
    shown = page(replace(run(), cases=(case(0),)))
    (picture,) = [a for tag, a in shown.elements if tag == "img"]
    assert (picture["src"] or "").startswith("data:image/png;base64,")
    assert len(picture["src"] or "") < 5_000


def test_the_cases_shown_are_told_from_all_that_turned() -> None:
    facts = run()
    assert facts.unseen is not None
    many = replace(facts.unseen, turned_right=11, turned_wrong=1)
    shown = page(replace(facts, unseen=many, cases=(case(0), replace(case(1), turned="wrong"))))
    assert "Turned right (1 of 11, the largest changes)" in shown.text
    assert "Turned wrong (1)" in shown.text


def test_several_runs_make_one_page_with_a_table_of_all() -> None:
    shown = page(run(), replace(run(), task="capitals"))
    assert [a["href"] for tag, a in shown.elements if tag == "a"] == ["#run1", "#run2"]
    assert "2 runs of Base-2B" in shown.text


def test_no_path_of_this_machine_is_shown() -> None:
    assert "/home/someone" not in render_report(ReportFacts((run(),)))


@settings(deadline=None, max_examples=25)
@given(text=st.text(max_size=30), more=st.sampled_from(["<script>x</script>", '"><i>', "{{ 7 }}"]))
def test_text_from_a_task_or_a_model_is_only_ever_text(text: str, more: str) -> None:
    said = text + more
    wild = replace(
        run(8),
        task=said,
        source=said,
        reason=said,
        cases=(replace(case(0), question=said, choices=(said,), answer=said, item_id=said),),
        commands=((said, said),),
    )
    usual = page(run(8, selected=4)).elements
    shown = page(wild)
    assert [tag for tag, _ in shown.elements].count("script") == 1
    assert {tag for tag, _ in shown.elements} <= {tag for tag, _ in usual}
    assert more in shown.text


def test_facts_come_out_of_a_run_s_json() -> None:
    document = {
        "model": "Owner/Base",
        "revision": None,
        "task": "maps",
        "task_source": "bundled",
        "task_items": 200,
        "chance": 0.25,
        "scoring": "likelihood",
        "seed": 3,
        "scope": "attention",
        "fill": "zero",
        "probe": {
            "n": 20,
            "base_accuracy": 0.5,
            "accuracy": [0.4, 0.6],
            "gains": [-0.1, 0.1],
            "margin_gains": [-1.0, 0.5],
            "probability_gains": None,
            "unparsed": [0, 0],
            "reason": "Layer 1 gains most.",
        },
        "selected_layer": 1,
        "confirm": {
            "n": 180,
            "base_accuracy": 0.5,
            "accuracy": 0.55,
            "gain": 0.05,
            "ci95": [0.01, 0.09],
            "p_value": 0.01,
            "verdict": "confirmed",
        },
        "checkpoint": "runs/x/checkpoint",
        "command": "talo-export probe --task maps --seed 3",
        "cost": {
            "layer_evaluations": 10,
            "layer_evaluations_naive": 20,
            "vision_evaluations": 2,
            "seconds": 1.5,
            "peak_memory_bytes": 0,
        },
    }
    facts = run_facts(document)
    assert [layer.gain for layer in facts.layers] == [-0.1, 0.1]
    assert facts.layers[1].margin_gain == 0.5
    assert facts.layers[1].probability_gain is None
    assert facts.unseen is not None
    assert facts.unseen.ci95 == (0.01, 0.09)
    assert [line for _, line in facts.commands][1] == "talo-export verify runs/x/checkpoint"
    assert "helps maps" in page(facts).text


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
