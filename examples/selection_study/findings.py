"""What the sweeps of many tasks say: is there a layer that helps, how much, and does it travel?

    python examples/selection_study/findings.py examples/selection_study/scores.npz --out study

Reads what `sweep_tasks.py` collected; no forward pass. Writes `findings.json`, the tasks' vectors
as CSV, and figures: the vectors in the order of their clusters, and the transfer matrix. A choice
is never judged by an item that made it: tasks are halved at random, again and again, one half
chooses and the other judges.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from tables import attention_tables

from talo_export.evidence.analyses.answers import calibrate_answers
from talo_export.evidence.analyses.clusters import cluster_tasks, draw_clusters
from talo_export.evidence.analyses.transfer import TaskRun, draw_transfer, transfer
from talo_export.evidence.analyses.vectors import interaction_vectors, write_vectors
from talo_export.evidence.confirmation import confirm
from talo_export.evidence.cross_validation import cross_validate
from talo_export.evidence.differences import Differences, differences
from talo_export.evidence.layer_tests import correct_over_layers
from talo_export.evidence.selection import select
from talo_export.probing.scores import ScoreTable

RULES = {"paper": "accuracy", "default": "auto"}
SEED = 0


def tests_of(sweeps: dict[str, Differences]) -> dict[str, Any]:
    """Full sweeps: the best layer's gain as it stands, cross-validated, and its corrected p."""
    rows = {}
    for task, sweep in sweeps.items():
        tests = correct_over_layers(sweep, seed=SEED, permutations=5000)
        best = int(sweep.accuracy.mean(axis=0).argmax())
        rows[task] = {
            "n": sweep.n_items,
            "base": float(sweep.base.mean()),
            "best_layer": sweep.layers[best],
            "apparent_gain": float(sweep.accuracy[:, best].mean()),
            "cross_validated_gain": cross_validate(sweep, seed=SEED).gain,
            "p_gain": tests.layers[best].p_gain,
            "layers_that_cost": sum(one.p_change < 0.05 and one.gain < 0 for one in tests.layers),
        }
    p_values = np.array([row["p_gain"] for row in rows.values()])
    return {
        "tasks": rows,
        "significant": int((p_values < 0.05).sum()),
        "discovered": int((false_discovery_control(p_values) <= 0.05).sum()),
        "mean_apparent_gain": float(np.mean([row["apparent_gain"] for row in rows.values()])),
        "mean_cross_validated_gain": float(
            np.mean([row["cross_validated_gain"] for row in rows.values()])
        ),
    }


def halved(table: ScoreTable, rng: np.random.Generator) -> tuple[ScoreTable, ScoreTable]:
    """Two tables of half the items each."""
    order = rng.permutation(len(table.item_ids))
    half = len(order) // 2
    return table.take_items(np.sort(order[:half])), table.take_items(np.sort(order[half:]))


def verdicts(tables: dict[str, ScoreTable], halvings: int) -> dict[str, Any]:
    """One half chooses, the other confirms: how often each verdict, and how large the gains."""
    found: dict[str, Any] = {}
    for name, criterion in RULES.items():
        counts: Counter[str] = Counter()
        gains: list[float] = []
        confirmed: Counter[str] = Counter()
        sizes: list[float] = []
        for task, table in tables.items():
            rng = np.random.default_rng(SEED)
            for _ in range(halvings):
                probe, unseen = halved(table, rng)
                chosen = select(probe, criterion=criterion).knockout
                judged = confirm(unseen, chosen, seed=SEED)
                counts[judged.verdict] += 1
                gains.append(judged.gain or 0.0)
                if judged.verdict == "confirmed":
                    confirmed[task] += 1
                    sizes.append(judged.gain or 0.0)
        total = sum(counts.values())
        found[name] = {
            "halvings": halvings,
            "shares": {verdict: count / total for verdict, count in counts.items()},
            "mean_gain": float(np.mean(gains)),
            "loses_more_than_a_point": float(np.mean(np.array(gains) < -0.01)),
            "confirmed_by_task": {t: c / halvings for t, c in confirmed.most_common()},
            "mean_confirmed_gain": float(np.mean(sizes)) if sizes else None,
        }
    return found


def letters(tables: dict[str, ScoreTable], same: set[str]) -> dict[str, Any]:
    """Tasks with the same choices for every item: what calibration leaves of the best gain."""
    found = {}
    for task in sorted(same):
        table = tables[task]
        sweep = differences(table)
        best = sweep.knockouts[int(sweep.accuracy.mean(axis=0).argmax())]
        said = calibrate_answers(table, best, seed=SEED, same_choices=True)
        assert said is not None
        found[task] = {
            "layer": best.layer,
            "n": said.n,
            "favourite_answer": max(said.distribution.base),
            "raw": said.raw.gain,
            "calibrated": said.calibrated.gain,
            "base_calibrated_by": said.calibrated.base_accuracy - said.raw.base_accuracy,
            "fate": said.fate,
        }
    return found


def travelled(tables: dict[str, ScoreTable], halvings: int, out: Path) -> dict[str, Any]:
    """Mean gain of chosen layers on their own tasks and on the others, over halvings; one drawn."""
    own, abroad, worse = [], [], []
    for number in range(halvings):
        rng = np.random.default_rng(number)
        runs = {}
        for task, table in tables.items():
            probe, unseen = halved(table, rng)
            runs[task] = TaskRun(select(probe, criterion="accuracy").knockout, probe, unseen)
        one = transfer(runs, seed=SEED, resamples=200)
        own.append(one.mean_gain_own)
        abroad.append(one.mean_gain_abroad)
        off = one.gains[~np.eye(len(tables), dtype=bool)]
        worse.append(float(np.mean(off[np.isfinite(off)] < -0.01)))
        if number == 0:
            first: NDArray[np.float64] = one.gains
            draw_transfer(one, out / "transfer.png",
                          title="Layers chosen on one task, applied to others")  # fmt: skip
    return {
        "halvings": halvings,
        "own": float(np.mean(own)),
        "abroad": float(np.mean(abroad)),
        "abroad_loses_more_than_a_point": float(np.mean(worse)),
        "chose_a_layer": int(np.isfinite(first).any(axis=1).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--halvings", type=int, default=50)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tables, same = attention_tables(arguments.scores)
    sweeps = {task: differences(table) for task, table in tables.items()}
    vectors = interaction_vectors(tables)
    write_vectors(vectors, out / "vectors.csv")
    clusters = cluster_tasks(sweeps, seed=SEED, resamples=50)
    draw_clusters(vectors, clusters, out / "vectors.png",
                  title="SmolLM2-135M: what every layer's knockout does to every task")  # fmt: skip
    found = {
        "items": {task: len(table.item_ids) for task, table in tables.items()},
        "sweeps": tests_of(sweeps),
        "verdicts": verdicts(tables, arguments.halvings),
        "letters": letters(tables, same & tables.keys()),
        "transfer": travelled(tables, min(arguments.halvings, 20), out),
        "clusters": {
            "count": clusters.clusters,
            "linkage": clusters.linkage,
            "silhouette": clusters.silhouette,
            "cophenetic": clusters.cophenetic_correlation,
            "stability": clusters.stability,
        },
    }
    (out / "findings.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
