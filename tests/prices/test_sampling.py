"""Which contracts' prices are collected."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.prices import sampling_chain

RULE = RollRule("HMUZ", "HMUZ", -5, 1, 15)
CURRENT = [20240600, 20240900, 20240900]


def test_the_chain_reaches_one_priced_contract_beyond_the_furthest_current_one() -> None:
    assert sampling_chain(CURRENT, RULE, datetime(2024, 5, 1, tzinfo=UTC))[-1] == 20241200


def test_contracts_stay_until_100_days_after_the_first_of_their_month() -> None:
    assert sampling_chain(CURRENT, RULE, datetime(2024, 6, 9)) == [20240300, 20240600, 20240900, 20241200]
    assert sampling_chain(CURRENT, RULE, date(2024, 6, 9))[0] == 20240300
    assert sampling_chain(CURRENT, RULE, datetime(2024, 6, 9, 0, 0, 1))[0] == 20240600


def test_the_chain_follows_the_priced_cycle_not_the_held_one() -> None:
    rule = RollRule("Z", "HKNUZ", -40, -1, 14)
    assert sampling_chain([20241200, 20251200, 20240900], rule, date(2025, 12, 1)) == [20250900, 20251200, 20260300]


def test_contracts_with_days_are_chosen_among_the_known_ones() -> None:
    weekly = [20240105, 20240216, 20240315, 20240419]
    rule = RollRule("FGHJKMNQUVXZ", "FGHJKMNQUVXZ", 0, 1, 0)
    assert sampling_chain([20240216], rule, date(2024, 5, 1), known=weekly) == [20240216, 20240315]
    assert sampling_chain([20240419], rule, date(2024, 5, 1), known=weekly)[-1] == 20240419


def test_an_instrument_without_contracts_is_refused() -> None:
    with pytest.raises(DataError, match="roll event"):
        sampling_chain([], RULE, date(2024, 5, 1))
