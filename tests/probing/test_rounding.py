"""What counts as rounding when two engines are compared."""

from __future__ import annotations

import torch
from probe_models import loaded_llama

from talo_export.probing.answers import Answered
from talo_export.probing.engines.checking import disagreement, nudged_embeddings
from talo_export.probing.scores import Outcome

PLAIN = torch.tensor([0.0, 1.0, 2.0, 3.0])


def answered(logits: torch.Tensor, scores: tuple[float, ...] | None = None) -> Answered:
    return Answered(None, Outcome(True, True, "A", scores=scores), logits)


def test_half_precision_allows_what_the_model_makes_of_one_rounding_step() -> None:
    fast, nudged = answered(1.2 * PLAIN), answered(1.1 * PLAIN)
    assert disagreement(fast, answered(PLAIN), torch.bfloat16) is not None
    assert disagreement(fast, answered(PLAIN), torch.bfloat16, nudged) is None


def test_more_than_a_few_rounding_steps_is_another_answer() -> None:
    fast, nudged = answered(2 * PLAIN), answered(1.1 * PLAIN)
    assert "of their spread apart" in str(
        disagreement(fast, answered(PLAIN), torch.bfloat16, nudged)
    )


def test_scores_are_held_to_the_same_measure() -> None:
    plain, nudged = answered(PLAIN, (-1.0, -2.0)), answered(PLAIN, (-1.2, -2.0))
    assert disagreement(answered(PLAIN, (-1.0, -2.5)), plain, torch.bfloat16, nudged) is None
    assert "scores" in str(
        disagreement(answered(PLAIN, (-1.0, -3.0)), plain, torch.bfloat16, nudged)
    )


def test_a_nudge_moves_each_embedding_by_one_step_and_leaves_no_trace() -> None:
    model = loaded_llama().model
    embed, tokens = model.get_input_embeddings(), torch.arange(1, 6)[None]
    before = embed(tokens)
    with nudged_embeddings(model):
        ratio = embed(tokens) / before
        assert torch.equal(embed(tokens) / before, ratio)
    assert torch.allclose((ratio - 1).abs(), torch.full_like(ratio, 2.0**-23), atol=2.0**-22)
    assert (ratio != 1).any()
    assert torch.equal(embed(tokens), before)
