"""The report page as Chromium lays it out: nothing sticks out, and the script does what it says.

Collected only where a Chromium is installed (see `conftest.py`); pytest's header says which.
"""

from __future__ import annotations

import html
import json
import subprocess
from typing import Any

import pytest
from conftest import CHROMIUM
from run_examples import run

from talo_export.publish.report import render_report

OVERHANG = "page => page.documentElement.scrollWidth - page.documentElement.clientWidth"
TEXT = "page => page.body.innerText.length"
SORT = """page => {
    const table = page.querySelector("section details table.sortable");
    table.tHead.rows[0].cells[2].querySelector("button").click();
    return [0, -1].map(i => [...table.tBodies[0].rows].at(i).cells[0].textContent);
}"""
FOCUS = """page => {
    page.querySelectorAll(".slot")[3].dispatchEvent(new Event("focusin", {bubbles: true}));
    return page.querySelector(".readout").textContent;
}"""
QUESTIONS = {
    # name: (width of the window in pixels, whether scripts run, what is asked of the page)
    "overhang at 400": (400, True, OVERHANG),
    "overhang at 1400": (1400, True, OVERHANG),
    "text": (1400, True, TEXT),
    "text without scripts": (1400, False, TEXT),
    "sorted": (1400, True, SORT),
    "focus": (400, True, FOCUS),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each question's answer, every one asked of a fresh copy of the page, in one browser."""
    runs = (run(80), run(8, selected_layer=None, task="capitals" * 6))
    page = html.escape(render_report(runs))
    frames = []
    for name, (width, scripts, question) in QUESTIONS.items():
        sandbox = "" if scripts else 'sandbox="allow-same-origin"'
        frames.append(
            f'<iframe {sandbox} style="width:{width}px;height:2000px" srcdoc="{page}"></iframe>'
            "<script>document.body.querySelector('iframe:last-of-type').onload = event => {"
            f"answers[{json.dumps(name)}] = ({question})(event.target.contentDocument);"
            "out.textContent = JSON.stringify(answers);}</script>"
        )
    directory = tmp_path_factory.mktemp("browser")
    file = directory / "frames.html"
    file.write_text(
        f'<p id="out"></p><script>const answers = {{}}</script>{"".join(frames)}', encoding="utf-8"
    )
    options = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"
    command = [str(CHROMIUM), *options.split(), f"--user-data-dir={directory / 'profile'}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    said = done.stdout.split('<p id="out">')[1].split("</p>")[0]
    return json.loads(html.unescape(said))


def test_every_question_was_answered(answers: dict[str, Any]) -> None:
    assert answers.keys() == QUESTIONS.keys()


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_no_wider_than_the_window(answers: dict[str, Any], width: int) -> None:
    assert answers[f"overhang at {width}"] == 0


def test_without_scripts_the_same_text_is_there(answers: dict[str, Any]) -> None:
    assert answers["text without scripts"] == answers["text"]
    assert answers["text"] > 2000


def test_a_click_sorts_a_table_by_numbers(answers: dict[str, Any]) -> None:
    assert answers["sorted"] == ["40", "0"]


def test_the_chart_reads_out_the_layer_in_focus(answers: dict[str, Any]) -> None:
    assert answers["focus"].startswith("layer 3: ")
