"""Lockstep with its states in host memory: the same answers, few rows at once on the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from engine_models import MAKERS
from probe_models import as_loaded, byte_tokenizer, loaded_llama
from test_engines import LETTERS, encoded_for, plainly, shared

from talo_export.probing.cost import metered
from talo_export.probing.encoding import encode
from talo_export.probing.engines.check import disagreement
from talo_export.probing.engines.checked import Checked
from talo_export.probing.engines.host_states import HostStatesError
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.shared import Sharing
from talo_export.probing.engines.work import Todo, Work
from talo_export.probing.forwards import replaced
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

LIKELIHOOD = Scoring("likelihood")


def built(name):
    torch.manual_seed(0)
    model, inputs = MAKERS[name]()
    tokenizer = byte_tokenizer()
    return as_loaded(model, tokenizer, tokenizer), encoded_for(inputs, "letters")


def from_host(loaded, encoded, variants, width):
    """Answers and layer evaluations with states in host memory, `width` rows at a time."""
    with metered(loaded.model, loaded.decoder) as meter:
        model = SharedModel(loaded.model, loaded.decoder)
        with model.installed():
            sharing = Sharing(loaded, LIKELIHOOD, meter, model)
            answers = {
                a.variant: a for a in sharing.answer_item(encoded, variants, width, host=True)
            }
    return answers, meter.layer_evaluations


@pytest.mark.parametrize("width", [1, 2, 99])
@pytest.mark.parametrize("name", ["llama", "qwen2_vl", "llava", "mixtral", "gemma3"])
def test_states_in_host_memory_give_the_naive_loops_answers(name, width):
    loaded, encoded = built(name)
    assert encoded.continuations == LETTERS
    variants = (None, *all_knockouts(loaded.decoder))
    plain = plainly(loaded, encoded, variants, LIKELIHOOD).answers
    found, evaluations = from_host(loaded, encoded, variants, width)
    wrong = [disagreement(found[v], plain[v], torch.float32) for v in variants]
    assert wrong == [None] * len(variants)
    assert evaluations == shared(loaded, encoded, variants, LIKELIHOOD, 99).layer_evaluations


@pytest.mark.parametrize("name", ["gemma3n", "qwen3_vl"])
def test_a_model_that_does_more_between_its_layers_is_refused(name):
    loaded, encoded = built(name)
    variants = (None, *all_knockouts(loaded.decoder, "o_proj"))
    with pytest.raises(HostStatesError):
        from_host(loaded, encoded, variants, 2)


def test_one_that_cannot_run_so_is_swept_with_its_states_on_the_device():
    # GPT-2 gives its states their shape once more at the end.
    loaded, encoded = built("gpt2")
    variants, notes = (None, *all_knockouts(loaded.decoder)), []
    plain = plainly(loaded, encoded, variants, LIKELIHOOD).answers
    with (
        metered(loaded.model, loaded.decoder) as meter,
        Checked(loaded, LIKELIHOOD, meter, "lockstep", variants=9, items=9,
                note=notes.append, states="host") as engine,
    ):  # fmt: skip
        (cells,) = engine.answer(Work([Todo(encoded, variants)], variants))
        assert engine.name == "lockstep"
    assert [note.split(":")[0] for note in notes] == ["the states stay on the device"]
    for cell in cells:
        assert cell.outcome.scores == pytest.approx(plain[cell.variant].outcome.scores, abs=1e-4)


def test_no_layer_sees_more_rows_than_allowed_and_memory_shrinks_them(make_items):
    loaded = loaded_llama()
    variants, rows, events = (None, *all_knockouts(loaded.decoder)), [], []

    def wrap(forward):
        def limited(hidden, *args, **kwargs):
            rows.append(hidden.shape[0])
            if hidden.shape[0] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(hidden, *args, **kwargs)

        return limited

    whole = sweep(loaded, make_items(3), variants, LIKELIHOOD).table
    with replaced(loaded.model.model.layers[3], "forward", wrap):
        table = sweep(loaded, make_items(3), variants, LIKELIHOOD, engine="lockstep",
                      states="host", progress=events.append).table  # fmt: skip
    assert np.allclose(table.scores, whole.scores, atol=1e-5)
    assert rows.count(4) == 1
    assert set(rows) == {1, 2, 4}
    assert [event.note for event in events if event.note] == [
        "out of memory: going on with 2 variants at a time"
    ]


def test_where_keys_and_values_are_needed_the_states_stay_on_the_device(make_items):
    loaded, events = loaded_llama(), []
    variants, scoring = (None, *all_knockouts(loaded.decoder)), Scoring(max_new_tokens=2)
    whole = sweep(loaded, make_items(2), variants, scoring).table
    table = sweep(loaded, make_items(2), variants, scoring, states="host",
                  progress=events.append).table  # fmt: skip
    assert table.answers == whole.answers
    (note,) = [event.note for event in events if event.note]
    assert note.startswith("the states stay on the device: keys and values")


def test_an_offloaded_layer_is_brought_in_once_for_all_its_rows(make_items):
    expected = loaded_llama()
    variants = (None, *all_knockouts(expected.decoder))
    whole = sweep(expected, make_items(2), variants, LIKELIHOOD).table
    loaded = loaded_llama()
    cpu_offload(loaded.model, execution_device=torch.device("cpu"))
    brought = []
    projection = loaded.model.model.layers[2].self_attn.q_proj
    hook = projection._hf_hook
    hook = next(iter(getattr(hook, "hooks", (hook,))))

    class Counted(dict):
        def __getitem__(self, name):
            brought.append(name)
            return super().__getitem__(name)

    sweep(loaded, make_items(1), variants, LIKELIHOOD, engine="lockstep")
    hook.weights_map = Counted({"weight": hook.weights_map["weight"]})
    encoded_items = make_items(2)
    before = len(brought)
    table = sweep(loaded, encoded_items, variants, LIKELIHOOD, engine="lockstep", states="host")
    # The first item is answered plainly too, once a variant, and its proofs run the model.
    assert brought[before:].count("weight") > 2
    assert np.allclose(table.table.scores, whole.scores, atol=1e-5)
    with metered(loaded.model, loaded.decoder) as meter:
        model = SharedModel(loaded.model, loaded.decoder)
        with model.installed():
            before = len(brought)
            sharing = Sharing(loaded, LIKELIHOOD, meter, model)
            list(sharing.answer_item(encode(loaded, encoded_items[0], LIKELIHOOD), variants, 1,
                                     host=True))  # fmt: skip
    assert len(brought) - before == 1
    assert projection.weight.device.type == "meta"
