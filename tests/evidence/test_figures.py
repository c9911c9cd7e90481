"""Every figure is drawn, from one task to many and from 8 layers to 80, and says n and units."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from talo_export.evidence.alternatives import compare, draw_alternatives
from talo_export.evidence.analyses.answers import calibrate_answers, draw_answers
from talo_export.evidence.analyses.cases import cases, draw_cases
from talo_export.evidence.analyses.clusters import cluster_tasks, draw_clusters
from talo_export.evidence.analyses.fills import FILLS
from talo_export.evidence.analyses.pairs import draw_pairs, pairs
from talo_export.evidence.analyses.shots import draw_shots, shots_curve
from talo_export.evidence.analyses.side_effects import draw_side_effects, side_effects
from talo_export.evidence.analyses.stability import draw_stability, stability
from talo_export.evidence.analyses.transfer import TaskRun, draw_transfer, transfer
from talo_export.evidence.analyses.vectors import draw_vectors, interaction_vectors
from talo_export.evidence.differences import differences
from talo_export.knockout import Knockout


@pytest.fixture
def random_table(make_table):
    def make(depth, n=40, seed=0, **options):
        rng = np.random.default_rng(seed)
        return make_table(rng.random(n) < 0.5, rng.random((depth, n)) < 0.5, **options)

    return make


def drawn(path):
    """The SVG's text, after checking that the PNG beside it is a picture with something on it."""
    with Image.open(path) as picture:
        assert min(picture.size) >= 300
        assert max(picture.size) <= 6000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    return path.with_suffix(".svg").read_text()


@pytest.mark.parametrize(("tasks", "depth"), [(1, 8), (4, 8), (60, 80)])
def test_a_heat_map_names_every_task_with_its_items(random_table, tmp_path, tasks, depth):
    tables = {f"task {i}": random_table(depth, seed=i) for i in range(tasks)}
    vectors, path = interaction_vectors(tables), tmp_path / "h.png"
    if tasks < 3:
        text = drawn(draw_vectors(vectors, path, title="Vectors", svg=True))
    else:
        sweeps = {name: differences(table) for name, table in tables.items()}
        clusters = cluster_tasks(sweeps, seed=0, resamples=2)
        text = drawn(draw_clusters(vectors, clusters, path, title="Vectors", svg=True))
    assert all(f"task {i} (40)" in text for i in range(tasks))
    assert "(points)" in text
    assert ("average linkage" in text) == (tasks >= 3)


def test_a_heat_map_is_sorted_by_cluster_with_or_without_its_tree(random_table, tmp_path):
    tables = {f"task {i}": random_table(8, seed=i % 3, n=40) for i in range(12)}
    sweeps = {name: differences(table) for name, table in tables.items()}
    found = cluster_tasks(sweeps, seed=0, resamples=1)
    vectors = interaction_vectors(tables)
    orders = []
    for tree in (True, False):
        text = drawn(
            draw_clusters(vectors, found, tmp_path / "h.png", title="Sorted", tree=tree, svg=True)
        )
        assert ("average linkage" in text) == tree
        orders.append(sorted(tables, key=lambda task: text.index(f">{task} (40)")))
    assert orders == [[one.task for one in found.tasks]] * 2


def test_a_label_too_long_keeps_its_end(random_table, tmp_path):
    names = [f"a benchmark/a category with a long name, part {i}" for i in range(2)]
    tables = {name: random_table(3, seed=i) for i, name in enumerate(names)}
    text = drawn(
        draw_vectors(interaction_vectors(tables), tmp_path / "h.png", title="Long", svg=True)
    )
    assert "ame, part 0 (40)" in text
    assert "ame, part 1 (40)" in text


@pytest.mark.parametrize("tasks", [2, 40])
def test_a_transfer_matrix_names_who_chose_which_layer(random_table, tmp_path, tasks):
    runs = {}
    for i in range(tasks):
        table = random_table(3, seed=i)
        chosen = None if i == 0 else Knockout(i % 3)
        runs[f"task {i}"] = TaskRun(
            chosen, table.take_items(range(10)), table.take_items(range(10, 40))
        )
    found = transfer(runs, seed=0, resamples=100)
    text = drawn(draw_transfer(found, tmp_path / "t.png", title="Transfer", svg=True))
    assert "task 0 · base" in text
    assert "task 1 · layer 1" in text
    assert "30 items a cell" in text


@pytest.mark.parametrize("depth", [8, 80])
def test_stability_and_pairs_are_drawn_at_any_depth(plant, random_table, tmp_path, depth):
    sweep = plant(np.random.default_rng(0), 60, [0.1] * depth)
    found = stability(sweep, runs=20, seed=0)
    text = drawn(draw_stability(found, tmp_path / "s.png", title="Stability", svg=True))
    assert "60 items resampled 20 times" in text
    single = random_table(depth)
    best = max(single.variants[1:], key=lambda k: single.accuracy[single.row(k)])
    after = random_table(depth - 1, seed=1, knockouts=[k for k in single.variants[1:] if k != best])
    both = pairs(single, {best: after}, seed=0)
    text = drawn(draw_pairs(both, tmp_path / "p.png", title="Pairs", svg=True))
    assert "40 items" in text
    assert f"{depth - 1} pairs" in text


def test_shots_fills_and_side_effects_are_drawn(plant, random_table, tmp_path):
    sweep = plant(np.random.default_rng(0), 60, [0.1, 0.0])
    curve = shots_curve(sweep, shots=(5, 20), runs=20)
    text = drawn(draw_shots(curve, tmp_path / "s.png", title="Shots", svg=True))
    assert "kept-t" in text
    assert "60 items" in text
    fills = [Knockout(k, "attention", f) for f in ("zero", "uniform", "mean") for k in range(4)]
    tables = {f"task {i}": random_table(12, seed=i, knockouts=fills) for i in range(2)}
    found = compare("fill", tables, FILLS, seed=0)
    text = drawn(draw_alternatives(found, tmp_path / "f.png", title="Fills", svg=True))
    assert "80 items" in text
    assert "cross-validated" in text
    tables = {f"task {i}": random_table(1, seed=i) for i in range(30)}
    found = side_effects(Knockout(0), tables, seed=0)
    text = drawn(draw_side_effects(found, tmp_path / "e.png", title="Effects", svg=True))
    assert "macro average" in text
    assert "task 7 (40)" in text


@pytest.mark.parametrize("scored", [True, False])
def test_cases_are_drawn_with_margins_or_as_counts(make_table, tmp_path, scored):
    scores = np.zeros((2, 4, 2))
    scores[:, :, 0] = [[-1, -5, 2, 1], [1, 5, -2, 1]]
    table = make_table([0, 0, 1, 1], [[1, 1, 0, 1]], scores=scores if scored else None)
    found = cases(table, Knockout(0))
    text = drawn(draw_cases(found, tmp_path / "c.png", title="Cases", svg=True))
    assert "turned right: 2 of 4 items" in text
    assert ("nats" in text) == scored


def test_answers_are_drawn_beside_the_right_ones(make_table, tmp_path):
    scores = np.random.default_rng(0).normal(size=(2, 30, 2))
    right = scores.argmax(axis=2) == 0
    table = make_table(right[0], right[1:], scores=scores)
    found = calibrate_answers(table, Knockout(0), seed=0)
    text = drawn(draw_answers(found, tmp_path / "a.png", title="Answers", svg=True))
    assert "30 items" in text
    assert "without layer 0" in text


def axis_numbers(text):
    """The tick labels of a drawing."""
    return [float(label) for label in re.findall(r">(-?\d+(?:\.\d+)?)</text>", text)]


def test_noise_is_not_drawn_as_a_cliff(plant, make_table, tmp_path):
    sweep = plant(np.random.default_rng(0), 4000, [0.0], changed=0.0)
    text = drawn(
        draw_shots(shots_curve(sweep, shots=(5, 50), runs=10), tmp_path / "s.png", title="Shots",
                   svg=True)
    )  # fmt: skip
    assert {-4.0, 4.0, 20.0} <= set(axis_numbers(text))
    base = np.arange(4000) % 2
    flipped = base.copy()
    flipped[0] = 1
    table = make_table(base, [flipped])
    effects = side_effects(Knockout(0), {"a": table, "b": table}, seed=0)
    text = drawn(draw_side_effects(effects, tmp_path / "e.png", title="Effects", svg=True))
    assert {-4.0, 4.0} <= set(axis_numbers(text))


def test_a_tasks_name_is_text_and_no_formula(random_table, tmp_path):
    name = "prices $\\frac and \x1b[31m$ red"
    vectors = interaction_vectors({name: random_table(3), "other": random_table(3, seed=1)})
    text = drawn(draw_vectors(vectors, tmp_path / "v.png", title=name, svg=True))
    assert r"prices $\frac" in text
    assert "\x1b" not in text
