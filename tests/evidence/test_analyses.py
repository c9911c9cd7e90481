"""The analyses over tasks, against planted truth."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pyarrow.parquet
import pytest

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.alternatives import compare
from talo_export.evidence.analyses.cases import cases
from talo_export.evidence.analyses.clusters import adjusted_rand, cluster_tasks, silhouette
from talo_export.evidence.analyses.fills import FILLS
from talo_export.evidence.analyses.modules import MODULES
from talo_export.evidence.analyses.pairs import pairs
from talo_export.evidence.analyses.shots import shots_curve
from talo_export.evidence.analyses.side_effects import side_effects
from talo_export.evidence.analyses.stability import stability
from talo_export.evidence.analyses.transfer import TaskRun, transfer
from talo_export.evidence.analyses.vectors import interaction_vectors, write_vectors
from talo_export.knockout import Knockout


@pytest.fixture
def simulate(make_table):
    """A table whose layers truly gain these shares."""

    def make(gains, n=200, seed=0, knockouts=None, groups=None):
        rng = np.random.default_rng(seed)
        base = rng.random(n) < 0.5
        layers = [
            np.where(rng.random(n) < 0.4, rng.random(n) < np.clip(0.5 + gain / 0.4, 0, 1), base)
            for gain in gains
        ]
        return make_table(base, layers, knockouts=knockouts, groups=groups)

    return make


class TestVectors:
    def test_a_vector_is_the_accuracy_without_each_layer_minus_the_bases(self, make_table):
        vectors = interaction_vectors({"t": make_table([1, 0, 0, 0], [[1, 1, 0, 0], [0] * 4])})
        assert vectors.gains.tolist() == [[0.25, -0.25]]
        assert vectors.tasks[0].base_accuracy == 0.25
        assert vectors.tasks[0].n == 4

    def test_a_layer_measured_on_one_task_only_is_missing_on_the_other(self, make_table):
        vectors = interaction_vectors(
            {
                "a": make_table([1, 0], [[1, 1]], knockouts=[Knockout(2)]),
                "b": make_table([1, 0], [[1, 1], [0, 0]], knockouts=[Knockout(2), Knockout(5)]),
            }
        )
        assert vectors.layers == (2, 5)
        assert np.isnan(vectors.gains[0, 1])
        assert vectors.to_json()["tasks"][0]["gains"] == [0.5, None]
        assert len(list(vectors.rows())) == 3

    def test_csv_and_parquet_hold_the_same_rows(self, simulate, tmp_path):
        vectors = interaction_vectors({"a": simulate([0.1, 0]), "b": simulate([0, 0.1], seed=1)})
        with write_vectors(vectors, tmp_path / "v.csv").open() as file:
            from_csv = list(csv.DictReader(file))
        from_parquet = pyarrow.parquet.read_table(
            write_vectors(vectors, tmp_path / "v.parquet")
        ).to_pylist()
        assert [row["task"] for row in from_csv] == ["a", "a", "b", "b"]
        assert [float(r["gain"]) for r in from_csv] == [row["gain"] for row in from_parquet]
        with pytest.raises(UsageError, match=r"v\.xlsx"):
            write_vectors(vectors, tmp_path / "v.xlsx")

    def test_a_run_without_the_scope_asked_for_is_named(self, simulate):
        with pytest.raises(TaloError, match="'b'"):
            interaction_vectors({"b": simulate([0.1])}, scope="mlp")


class TestClusters:
    def test_planted_families_of_tasks_are_found_and_come_back(self, plant):
        rng = np.random.default_rng(0)
        families = rng.normal(0, 0.12, (3, 16))
        sweeps = {f"{f}-{i}": plant(rng, 300, families[f]) for f in range(3) for i in range(4)}
        found = cluster_tasks(sweeps, seed=0, resamples=20)
        assert found.clusters == 3
        kinds = {(one.task.split("-")[0], one.cluster) for one in found.tasks}
        assert len(kinds) == 3
        assert found.stability > 0.9
        assert found.silhouette > 0.3
        assert 0 < found.cophenetic_correlation <= 1
        assert json.loads(json.dumps(found.to_json()))["clusters"] == 3

    def test_unrelated_tasks_are_told_by_low_figures(self, plant):
        rng = np.random.default_rng(0)
        sweeps = {str(i): plant(rng, 60, [0.0] * 16) for i in range(10)}
        found = cluster_tasks(sweeps, seed=0, resamples=20)
        assert found.silhouette < 0.3
        assert found.stability < 0.6

    def test_a_task_that_no_layer_changes_is_unrelated_to_all(self, plant):
        rng = np.random.default_rng(0)
        sweeps = {str(i): plant(rng, 60, rng.normal(0, 0.1, 8)) for i in range(3)}
        still = plant(rng, 60, [0.0] * 8)
        still.accuracy[:] = 0
        found = cluster_tasks(sweeps | {"still": still}, seed=0, resamples=5)
        assert found.distances[3, :3] == pytest.approx(1.0)

    def test_the_rand_index_is_one_for_renamed_clusters_and_near_zero_for_random_ones(self):
        rng = np.random.default_rng(0)
        labels = rng.integers(1, 4, 300)
        assert adjusted_rand(labels, np.array([0, 3, 1, 2])[labels]) == pytest.approx(1)
        assert abs(adjusted_rand(labels, rng.permutation(labels))) < 0.05

    def test_the_silhouette_of_two_far_pairs_is_near_one(self):
        places = np.array([0.0, 0.1, 10.0, 10.1])
        distance = np.abs(places[:, None] - places)
        assert silhouette(distance, np.array([1, 1, 2, 2])) == pytest.approx(0.99, abs=0.001)
        assert silhouette(distance, np.array([1, 2, 1, 2])) < 0

    def test_two_tasks_are_too_few(self, plant):
        rng = np.random.default_rng(0)
        with pytest.raises(TaloError, match="three tasks"):
            cluster_tasks({"a": plant(rng, 9, [0.0]), "b": plant(rng, 9, [0.0])}, seed=0)


class TestTransfer:
    def test_a_layer_both_tasks_suffer_from_transfers_and_another_does_not(self, simulate):
        gains = {"a": [0.3, -0.3], "b": [0.3, -0.3], "c": [-0.3, 0.3]}
        runs = {}
        for seed, (task, planted) in enumerate(gains.items()):
            names = [f"{task}-{i}" for i in range(200)]
            table = simulate(planted, seed=seed, groups=names)
            best = Knockout(int(np.argmax(planted)))
            runs[task] = TaskRun(
                best, table.take_items(range(50)), table.take_items(range(50, 200))
            )
        found = transfer(runs, seed=0)
        assert found.verdicts[0] == ("confirmed", "confirmed", "harmful")
        assert found.mean_gain_own > 0.2
        assert found.n[0, 1] == 150
        assert json.loads(json.dumps(found.to_json()))["layers"] == [0, 0, 1]

    def test_items_of_b_that_a_probed_with_are_removed(self, simulate):
        one = simulate([0.2], groups=[f"image-{i}" for i in range(200)])
        other = simulate([0.2], seed=1, groups=[f"image-{i}" for i in range(190, 390)])
        runs = {
            "a": TaskRun(Knockout(0), one.take_items(range(100, 200)), one.take_items(range(100))),
            "b": TaskRun(Knockout(0), other.take_items(range(9, 50)), other.take_items(range(9))),
        }
        found = transfer(runs, seed=0)
        assert found.removed.tolist() == [[0, 9], [0, 0]]
        assert np.isnan(found.gains[0, 1])
        assert found.n[1, 1] == 9

    def test_fingerprints_of_the_content_decide_where_they_are_given(self, simulate):
        table = simulate([0.2], n=40)
        contents = {item_id: f"other {item_id}" for item_id in table.item_ids}
        probe, unseen = table.take_items(range(20)), table.take_items(range(20, 40))
        runs = {
            "a": TaskRun(Knockout(0), unseen, probe),
            "b": TaskRun(Knockout(0), probe, unseen, contents),
        }
        assert transfer(runs, seed=0).removed.tolist() == [[0, 0], [0, 0]]

    def test_a_task_that_keeps_the_base_has_an_empty_row(self, simulate):
        table = simulate([0.2])
        run = TaskRun(None, table.take_items(range(9)), table.take_items(range(9, 200)))
        found = transfer({"a": run, "b": run}, seed=0)
        assert np.isnan(found.gains).all()
        assert np.isnan(found.mean_gain_own)
        assert found.to_json()["mean_gain_own"] is None


class TestStability:
    def test_a_strong_layer_is_chosen_by_nearly_every_resample(self, plant):
        sweep = plant(np.random.default_rng(0), 200, [0.0, 0.4, 0.0, -0.2])
        found = stability(sweep, runs=300, seed=0)
        assert found.layer == 1
        assert found.same > 0.97
        assert sum(found.shares.values()) + found.kept_base == pytest.approx(1)

    def test_agreement_rises_with_shots(self, plant):
        sweep = plant(np.random.default_rng(0), 200, [0.2] + [0.0] * 19)
        found = stability(sweep, shots=(5, 100), runs=300, seed=0)
        few, many = found.by_shots
        assert many.agreement > few.agreement + 0.2
        assert many.favourite == 0

    def test_among_equals_two_sets_agree_as_rarely_as_luck(self, plant):
        sweep = plant(np.random.default_rng(2), 2000, [0.0] * 25)
        (point,) = stability(sweep, shots=(40,), runs=500, seed=0).by_shots
        assert point.agreement < 0.12


class TestShots:
    def test_where_only_text_was_generated_layers_are_chosen_by_accuracy_alone(self, plant):
        sweep = dataclasses.replace(
            plant(np.random.default_rng(0), 100, [0.3, 0.0, -0.2]), probability=None, margin=None
        )
        found = shots_curve(sweep, shots=(10,), runs=100)
        assert {point.criterion for point in found.points} == {"accuracy"}
        with pytest.raises(UsageError, match="'kept-t' needs log-likelihoods"):
            shots_curve(sweep, shots=(10,), criteria=("kept-t",), runs=100)


class TestAlternatives:
    def test_fills_that_do_the_same_correlate_and_the_better_one_finds_more(self, simulate):
        fills = ("zero", "uniform", "mean")
        knockouts = [Knockout(layer, "attention", fill) for fill in fills for layer in range(6)]
        gains = [0.25, -0.2, 0.0, 0.1, -0.1, 0.0]
        tables = {
            f"t{seed}": simulate([*gains, *gains, *[-0.2] * 6], seed=seed, knockouts=knockouts)
            for seed in range(4)
        }
        found = compare("fill", tables, FILLS, seed=0)
        zero, uniform, mean = found.alternatives
        assert found.correlation["zero-uniform"] > 0.8
        assert abs(found.correlation["zero-mean"]) < 0.6
        assert zero.cross_validated_gain > 0.15
        assert mean.cross_validated_gain < 0.05
        assert uniform.best_gain >= uniform.cross_validated_gain
        assert set(found.to_json()["correlation"]) == {"zero-uniform", "zero-mean", "uniform-mean"}

    def test_modules_compare_on_the_layers_all_were_measured_on(self, simulate):
        knockouts = [Knockout(0), Knockout(1), Knockout(1, "mlp"), Knockout(2, "mlp")]
        tables = {"t": simulate([0.1, 0.0, -0.1, 0.0], knockouts=knockouts)}
        two = {name: MODULES[name] for name in ("attention", "mlp")}
        found = compare("module", tables, two, seed=0)
        assert found.layers == (1,)
        assert found.names == ("attention", "mlp")

    def test_a_fill_that_was_never_swept_is_an_error(self, simulate):
        with pytest.raises(TaloError, match="uniform"):
            compare("fill", {"t": simulate([0.1])}, FILLS, seed=0)


class TestPairs:
    def second(self, make_table, single, first, layers):
        answers = single.correct[single.row(first)]
        others = [Knockout(k) for k in range(3) if k != first.layer]
        return make_table(answers, layers, knockouts=others)

    def test_the_greedy_second_layer_is_judged_against_the_first_alone(self, make_table):
        base = [1] * 10 + [0] * 30
        single = make_table(base, [[1] * 20 + [0] * 20, base, [1] * 12 + [0] * 28])
        after = self.second(
            make_table, single, Knockout(0), [[1] * 20 + [0] * 20, [1] * 35 + [0] * 5]
        )
        found = pairs(single, {Knockout(0): after}, seed=0)
        assert (found.greedy.first, found.greedy.second) == (0, 2)
        assert found.greedy.first_gain == pytest.approx(0.25)
        assert found.greedy.more == pytest.approx(15 / 40)
        assert found.greedy.pair_gain == pytest.approx(25 / 40)
        assert found.greedy.ci95[0] > 0
        assert found.pairs_evaluated == 2
        assert found.gains[0, 2] == found.gains[2, 0] == pytest.approx(25 / 40)
        assert np.isnan(found.gains[1, 2])

    def test_the_full_matrix_finds_a_pair_greed_misses(self, make_table):
        base = [1] * 10 + [0] * 30
        single = make_table(base, [[1] * 20 + [0] * 20, base, base])
        sweeps = {
            Knockout(0): self.second(make_table, single, Knockout(0), [[1] * 20 + [0] * 20] * 2),
            Knockout(1): self.second(make_table, single, Knockout(1), [base, [1] * 40]),
        }
        found = pairs(single, sweeps, seed=0)
        assert found.best.layers == (1, 2)
        assert found.greedy.first == 0

    def test_other_items_or_a_missing_greedy_sweep_are_errors(self, make_table):
        base = [1] * 10 + [0] * 30
        single = make_table(base, [[1] * 20 + [0] * 20, base, base])
        other = self.second(make_table, single, Knockout(1), [base, base])
        with pytest.raises(TaloError, match="layer 0 first"):
            pairs(single, {Knockout(1): other}, seed=0)
        with pytest.raises(TaloError, match="same items"):
            pairs(single, {Knockout(1): other.take_items(range(5))}, seed=0)
        with pytest.raises(TaloError, match="No sweep"):
            pairs(single, {}, seed=0)


class TestCases:
    def test_changed_items_are_listed_by_the_size_of_the_change(self, make_table):
        scores = np.zeros((2, 4, 2))
        scores[:, :, 0] = [[-1, -5, 2, 1], [1, 5, -2, 1]]
        found = cases(make_table([0, 0, 1, 1], [[1, 1, 0, 1]], scores=scores), Knockout(0))
        assert [case.item_id for case in found.turned_right] == ["item-1", "item-0"]
        assert [case.item_id for case in found.turned_wrong] == ["item-2"]
        assert found.turned_right[0].base_margin == pytest.approx(-5)
        assert json.loads(json.dumps(found.to_json()))["n"] == 4

    def test_items_only_one_of_them_saw_are_no_cases(self, make_table):
        table = make_table([0, 0], [[1, 1]])
        scored = np.array([[True, True], [True, False]])
        found = cases(dataclasses.replace(table, scored=scored), Knockout(0))
        assert (found.n, len(found.turned_right)) == (1, 1)
        assert found.turned_right[0].margin is None


class TestSideEffects:
    def test_better_and_worse_tasks_are_told_from_unchanged_ones(self, simulate):
        planted = {"own": 0.3, "up": 0.3, "same": 0.0, "down": -0.3}
        tables = {name: simulate([gain], seed=i) for i, (name, gain) in enumerate(planted.items())}
        found = side_effects(Knockout(0), tables, seed=0, own_task="own")
        assert list(found.tasks) == ["up", "same", "down"]
        assert found.better == ("up",)
        assert found.worse == ("down",)
        assert found.macro_ci95[0] < 0 < found.macro_ci95[1]
        assert "down" in found.sentence

    def test_macro_weighs_tasks_and_micro_weighs_items(self, simulate):
        tables = {"large": simulate([0.3], n=900), "small": simulate([-0.3], n=100, seed=1)}
        found = side_effects(Knockout(0), tables, seed=0)
        assert abs(found.macro_gain) < 0.1
        assert found.micro_gain > 0.15

    def test_no_other_task_is_an_error(self, simulate):
        with pytest.raises(TaloError, match="No other task"):
            side_effects(Knockout(0), {"own": simulate([0.1])}, seed=0, own_task="own")

    def test_the_macro_interval_covers_as_often_as_stated(self, make_table):
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(120):
            tables = {}
            for task, gain in enumerate((0.1, -0.05, 0.0)):
                change = rng.choice([1, -1, 0], size=60, p=[0.1 + gain / 2, 0.1 - gain / 2, 0.8])
                base = np.where(change == 1, 0, np.where(change == -1, 1, rng.random(60) < 0.5))
                tables[str(task)] = make_table(base, [base + change])
            low, high = side_effects(Knockout(0), tables, seed=0).macro_ci95
            covered += low <= 0.05 / 3 <= high
        assert covered / 120 >= 0.9
