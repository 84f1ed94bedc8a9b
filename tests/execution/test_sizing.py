"""Sizes are whole contracts, and no limit is ever exceeded, in either direction."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, strategies as st

from tradeflow_core.execution import contract_trades
from tradeflow_core.model import Leg, Override, OverrideKind, RollEvent, RollState
from tradeflow_core.orders import apply_override, apply_position_limit, apply_position_limits, buffered_trade, cut_to_caps

MARCH, JUNE = 20240300, 20240600
ROLL = RollEvent("GOLD", None, MARCH, JUNE, JUNE, "calendar")
sizes = st.integers(-60, 60)
limits = st.none() | st.integers(0, 60)


@given(st.lists(sizes.filter(bool), min_size=1, max_size=3), st.lists(st.integers(0, 80), min_size=3, max_size=3))
def test_a_cut_trade_keeps_its_ratio_and_every_cap(quantities: list[int], caps: list[int]) -> None:
    cut = cut_to_caps(tuple(quantities), tuple(caps[: len(quantities)]))
    for wanted, got, cap in zip(quantities, cut, caps, strict=False):
        assert abs(got) <= min(abs(wanted), cap)
        assert got * wanted >= 0
        assert got * quantities[0] == cut[0] * wanted
    unit = math.gcd(*quantities)
    larger = tuple(got + quantity // unit for got, quantity in zip(cut, quantities, strict=True))
    assert any(abs(size) > min(abs(wanted), cap) for size, wanted, cap in zip(larger, quantities, caps, strict=False))


def test_a_sale_is_cut_like_a_purchase() -> None:
    """A floored float ratio once let 8 contracts through a limit of 7."""
    assert cut_to_caps((-25,), (7,)) == (-7,)
    assert cut_to_caps((25,), (7,)) == (7,)
    assert cut_to_caps((22,), (15,)) == (15,)


@given(sizes, sizes, sizes, limits, limits)
def test_both_position_limits_hold_after_the_trade(
    mine: int, others: int, trade: int, strategy: int | None, instrument: int | None
) -> None:
    total = mine + others
    allowed = apply_position_limits(mine, total, trade, strategy_limit=strategy, instrument_limit=instrument)
    if instrument is not None:
        assert abs(total + allowed) <= instrument
    if strategy is not None and (
        instrument is None or (-instrument - total <= strategy - mine and -strategy - mine <= instrument - total)
    ):
        assert abs(mine + allowed) <= strategy
    if strategy is None and instrument is None:
        assert allowed == trade


def test_a_trade_through_zero_is_cut_at_the_far_limit() -> None:
    """Long 2 with a limit of 3, selling 10: the position may become -3, not -8."""
    assert apply_position_limits(2, 2, -10, strategy_limit=None, instrument_limit=3) == -5


def test_a_position_beyond_its_limit_is_brought_back() -> None:
    assert apply_position_limit(10, 0, 4) == -6


@given(sizes, sizes, st.sampled_from(OverrideKind), st.floats(0, 1))
def test_an_override_never_adds_risk(position: int, trade: int, kind: OverrideKind, fraction: float) -> None:
    after = position + apply_override(position, trade, Override(kind, fraction if kind is OverrideKind.FRACTION else 1.0))
    assert abs(after) <= max(abs(position), abs(position + trade)) + 1
    if kind is OverrideKind.REDUCE_ONLY:
        assert abs(after) <= abs(position) and after * position >= 0
    if kind is OverrideKind.NO_TRADING:
        assert after == position


def test_close_brings_the_position_to_zero() -> None:
    assert apply_override(5, 2, Override(OverrideKind.FRACTION, 0.0)) == -5


@given(st.integers(-30, 30), st.floats(-30, 30), st.floats(0, 20))
def test_trades_go_to_the_nearest_edge_and_not_inside_the_buffer(position: int, lower: float, width: float) -> None:
    upper = lower + width
    after = position + buffered_trade(position, lower, upper)
    if lower <= position <= upper:
        assert after == position
    else:
        assert after == np.round(lower if position < lower else upper)


def test_no_edge_no_trade() -> None:
    assert buffered_trade(5, float("nan"), float("nan")) == 0


def test_while_rolling_passively_new_risk_goes_forward_and_reductions_come_out_of_the_priced_contract() -> None:
    assert contract_trades(RollState.PASSIVE, ROLL, 4, trade=3) == [Leg(JUNE, 3)]
    assert contract_trades(RollState.PASSIVE, ROLL, 0, trade=-3) == [Leg(JUNE, -3)]
    assert contract_trades(RollState.PASSIVE, ROLL, 4, trade=-3) == [Leg(MARCH, -3)]
    assert contract_trades(RollState.PASSIVE, ROLL, 4, trade=-7) == [Leg(MARCH, -4), Leg(JUNE, -3)]


def test_otherwise_trades_use_the_priced_contract() -> None:
    assert contract_trades(RollState.NO_ROLL, ROLL, 4, trade=-7) == [Leg(MARCH, -7)]


def test_while_a_roll_is_forced_only_trades_that_help_it_are_made() -> None:
    assert contract_trades(RollState.FORCE, ROLL, 4, trade=2) == []
    assert contract_trades(RollState.FORCE, ROLL, 4, trade=-2) == [Leg(MARCH, -2)]
    assert contract_trades(RollState.CLOSE, ROLL, 4, trade=-2) == []


@given(st.sampled_from([RollState.NO_ROLL, RollState.PASSIVE, RollState.NO_OPEN]), sizes, sizes)
def test_contract_trades_add_up_to_the_trade(state: RollState, position: int, trade: int) -> None:
    assert sum(leg.quantity for leg in contract_trades(state, ROLL, position, trade=trade)) == trade
