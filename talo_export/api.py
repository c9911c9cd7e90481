"""What the commands do, for Python: `from talo_export import probe, compare, export, ...`.

Every function takes plain values, raises `TaloError` with a sentence for a person, and returns the
document that the command prints with `--json`.

    >>> from talo_export import export, load_task
    >>> task = load_task("demo/maps")
    >>> len(task), task.chance
    (300, 0.25)
    >>> plan = export(layer=2, dry_run=True)
    >>> [edit["tensor"].rpartition("layers.")[2] for edit in plan["edits"]][:2]
    ['2.self_attn.k_proj.bias', '2.self_attn.k_proj.weight']

The numbered scripts in `examples/` are longer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from talo_export.baselines.methods import DEFAULT_METHODS, methods_named
from talo_export.baselines.settings import Training
from talo_export.jobs.analyze import run_analysis
from talo_export.jobs.asking import Setup
from talo_export.jobs.compare import CompareRequest, run_compare
from talo_export.jobs.evaluate import EvaluateRequest, run_evaluate
from talo_export.jobs.export import ExportRequest, run_export
from talo_export.jobs.many import means_many
from talo_export.jobs.probe import run_probe
from talo_export.jobs.probe_many import run_probes
from talo_export.jobs.probe_request import ProbeRequest
from talo_export.jobs.push import PushRequest, run_push
from talo_export.jobs.task_words import TaskWords, load_words
from talo_export.jobs.verify import run_verify
from talo_export.knockout import Fill, Scope
from talo_export.probing.engines.checked import EngineName
from talo_export.probing.settings import Scoring
from talo_export.publish.push import Terms
from talo_export.tasks.item import Task


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _words(
    task: str | None, data: str | Path | None, columns: Mapping[str, str] | None, **more: Any
) -> TaskWords:
    return TaskWords(task, data=_path(data), columns=columns or {}, **more)


def load_task(
    name: str,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    few_shot: int = 0,
    seed: int = 0,
    trust_remote_code: bool = False,
) -> Task:
    """A task by name (`demo/maps`, `scienceqa/maps`) or file; `data` is a copy of data sets.

    `columns` maps an item's fields to the data's own names; `few_shot` answered examples, drawn by
    `seed`, stand before every item.
    """
    words = _words(name, data, columns, few_shot=few_shot, trust_remote_code=trust_remote_code)
    return load_words(words, model_is_demo=False, seed=seed)


def probe(
    model: str | None = None,
    task: str | None = None,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    few_shot: int = 0,
    out: str | Path | None = None,
    shots: int | None = 20,
    seed: int = 0,
    scoring: Scoring | None = None,
    min_gain: float | None = None,
    criterion: str | None = None,
    scope: Scope = "attention",
    fill: Fill = "zero",
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    engine: EngineName = "auto",
    skip_too_long: bool = False,
    device_map: str | None = None,
    offload: str | Path | None = None,
    max_memory: Mapping[str, str] | None = None,
    checkpoint: bool = True,
    fresh: bool = False,
    trust_remote_code: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Find the layer that hurts a task, confirm it, write and prove the patched checkpoint.

    `shots=None` probes every item and selects none; `min_gain` is a share of accuracy (0.05 is five
    points), None for what the criterion asks. `device_map`, `offload` and `max_memory` are for a
    model that is larger than the device. A `task` that is a pattern (`demo/*`, `FILE:*`) probes
    each of many, a run below `out` for each.
    """
    chosen: dict[str, Any] = {} if criterion is None else {"criterion": criterion}
    request = ProbeRequest(
        setup=Setup(
            model=model,
            dtype=dtype,
            device=device,
            device_map=device_map,
            offload=_path(offload),
            max_memory=max_memory,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
        ),
        task=task,
        data=_path(data),
        columns=tuple((columns or {}).items()),
        few_shot=few_shot,
        out=_path(out),
        shots=shots,
        seed=seed,
        scoring=scoring or Scoring(),
        min_gain=min_gain,
        scope=scope,
        fill=fill,
        engine=engine,
        skip_too_long=skip_too_long,
        checkpoint=checkpoint,
        fresh=fresh,
        **chosen,
    )
    return (run_probes if means_many(task) else run_probe)(request, note=note)


def export(
    model: str | None = None,
    *,
    layer: int | None = None,
    run: str | Path | None = None,
    out: str | Path | None = None,
    scope: Scope = "attention",
    fill: Fill = "zero",
    form: Literal["checkpoint", "adapter"] = "checkpoint",
    keep_undo: bool = False,
    dry_run: bool = False,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Write a patched checkpoint or adapter for a layer named by hand, or chosen by a run."""
    return run_export(
        ExportRequest(
            model=model,
            layer=layer,
            run=_path(run),
            out=_path(out),
            scope=scope,
            fill=fill,
            form=form,
            keep_undo=keep_undo,
            dry_run=dry_run,
            trust_remote_code=trust_remote_code,
        )
    )


def verify(
    directory: str | Path, *, base: str | None = None, trust_remote_code: bool = False
) -> dict[str, Any]:
    """Hold an export against its manifest and base, and load it in a fresh process."""
    return run_verify(Path(directory), base=base, trust_remote_code=trust_remote_code)


def evaluate(
    model: str | None = None,
    task: str | None = None,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    few_shot: int = 0,
    limit: int | None = None,
    seed: int = 0,
    scoring: Scoring | None = None,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Accuracy of any checkpoint on any task, item for item, by stock inference."""
    setup = Setup(model=model, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
    words = _words(task, data, columns, few_shot=few_shot, trust_remote_code=trust_remote_code)
    request = EvaluateRequest(words, limit=limit, seed=seed, scoring=scoring or Scoring())
    return run_evaluate(setup, request)


def compare(
    model: str | None = None,
    task: str | None = None,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    out: str | Path | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    shots: Sequence[int] = (20,),
    seeds: int = 3,
    test_limit: int | None = None,
    scoring: Scoring | None = None,
    training: Training | None = None,
    device: str = "auto",
    dtype: str = "auto",
    device_map: str | None = None,
    offload: str | Path | None = None,
    load_in_4bit: bool = False,
    fresh: bool = False,
    trust_remote_code: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Base, knockout, LoRA and friends on the same items, each cell in a process of its own.

    `shots` are numbers of labelled items; `training` a `talo_export.baselines.settings.Training`.
    """
    request = CompareRequest(
        setup=Setup(
            model=model,
            dtype=dtype,
            device=device,
            device_map=device_map,
            offload=_path(offload),
            trust_remote_code=trust_remote_code,
            load_in_4bit=load_in_4bit,
        ),
        methods=methods_named(methods),
        words=_words(task, data, columns, trust_remote_code=trust_remote_code),
        out=_path(out),
        shots=tuple(shots),
        seeds=seeds,
        test_limit=test_limit,
        scoring=scoring or Scoring(),
        training=training or Training(),
        fresh=fresh,
    )
    return run_compare(request, note=note)


def analyze(
    kind: str, runs: Sequence[str | Path], *, out: str | Path | None = None
) -> dict[str, Any]:
    """One of the paper's analyses over finished runs (`heatmap`, `side-effects`, ...), and figures.

    For `side-effects` the run that chose the layer comes first.
    """
    paths = [Path(run) for run in runs]
    return run_analysis(kind, paths, out=paths[0] / "analysis" if out is None else Path(out))


def push(
    directory: str | Path,
    repo_id: str,
    *,
    form: Literal["checkpoint", "adapter"] | None = None,
    collection: bool = False,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    allow_unconfirmed: bool = False,
    accept_base_terms: bool = False,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Publish a run, an export, or with `collection` a folder of them, as `OWNER/NAME`.

    The token comes from HF_TOKEN or `hf auth login` and is written nowhere.
    """
    request = PushRequest(
        Path(directory),
        repo_id,
        form=form,
        collection=collection,
        terms=Terms(private, revision, create_pr, dry_run, allow_unconfirmed, accept_base_terms),
        trust_remote_code=trust_remote_code,
    )
    return run_push(request, progress=False).to_json()
