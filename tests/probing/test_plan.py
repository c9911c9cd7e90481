"""Dealing an item's variants out over passes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talo_export.knockout import Knockout
from talo_export.probing.engines.plan import Pass, schedule

variants_of = st.lists(
    st.one_of(st.none(), st.builds(Knockout, st.integers(0, 7))), unique=True, min_size=1
)


@given(variants_of, st.integers(1, 12))
def test_every_variant_is_answered_once(variants, width):
    answered = [variant for plan in schedule(variants, width) for variant in plan.wanted]
    assert sorted(map(str, answered)) == sorted(map(str, variants))


@given(variants_of, st.integers(1, 12))
def test_no_pass_carries_more_than_it_may(variants, width):
    for plan in schedule(variants, width):
        assert len(plan.variants) <= width
        if width == 1:
            assert len(plan.variants) + int(plan.trunk) == 1


@given(variants_of, st.integers(1, 12))
def test_each_layer_sees_the_trunk_at_most_once_and_a_variant_from_its_own_layer_on(
    variants, width
):
    depth = 8
    work = 0
    for plan in schedule(variants, width):
        end = plan.handover if plan.stops else depth
        work += sum(len(plan.active(layer)) for layer in range(plan.start, end))
    knockouts = [variant for variant in variants if variant is not None]
    least = sum(depth - knockout.layer for knockout in knockouts)
    trunk = depth if None in variants else max((k.layer + 1 for k in knockouts), default=0)
    assert least <= work <= least + trunk


@given(variants_of, st.integers(1, 12))
def test_a_pass_begins_where_an_earlier_one_left_the_trunk(variants, width):
    left = {0}
    for plan in schedule(variants, width):
        assert plan.start in left
        assert all(variant.layer >= plan.start for variant in plan.variants)
        if plan.handover is not None:
            left.add(plan.handover)


@given(variants_of, st.integers(1, 12), st.sets(st.integers(0, 12)))
def test_what_is_missing_is_answered_by_the_rows_of_the_whole_schedule(variants, width, known):
    missing = [variant for at, variant in enumerate(variants) if at not in known]
    passes = schedule(variants, width, missing)
    answered = [variant for plan in passes for variant in plan.wanted]
    assert len(answered) == len(set(answered))
    assert set(missing) <= set(answered)
    assert all(plan.stops or set(plan.wanted) & set(missing) for plan in passes)
    # What runs together decides the last bits: the same rows, layer by layer.
    rows = {
        (layer, plan.rows[row]): [plan.rows[other] for other in plan.active(layer)]
        for plan in schedule(variants, width)
        for layer in range(plan.start, 8)
        for row in plan.active(layer)
    }
    left = {0}
    for plan in passes:
        assert plan.start in left
        for layer in range(plan.start, plan.handover if plan.stops else 8):
            active = [plan.rows[row] for row in plan.active(layer)]
            assert all(rows[layer, variant] == active for variant in active)
        if plan.handover is not None:
            left.add(plan.handover)


def test_a_variant_joins_at_its_layer_and_the_trunk_leaves_at_the_handover():
    plan = Pass((Knockout(2), Knockout(4)), trunk=True, start=1, handover=5)
    assert [list(plan.active(layer)) for layer in range(1, 7)] == [
        [0], [0, 1], [0, 1], [0, 1, 2], [1, 2], [1, 2],
    ]  # fmt: skip
    assert plan.silence() == {Knockout(2): (1, 2), Knockout(4): (2, 3)}
