"""The first prices of an instrument: its history from the broker, with the rolls that its roll rule gives."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import append_roll_events, find_roll, record_contracts
from tradeflow_core.model import RollEvent
from tradeflow_core.prices.bar_store import contract_prices
from tradeflow_core.prices.collect import BEGINNING, PriceSpike, collect_bars
from tradeflow_core.prices.sampling import roll_rule_of
from tradeflow_core.series import build_roll_calendar, events_from_calendar


def seed_instrument(desk: Desk, instrument: str) -> int:
    """Fetch the daily history of an instrument that has none and derive its roll events; returns the number of events.

    Roll dates are those of the roll rule, moved to the nearest day on which both contracts have prices; only rolls that are due by now. An
    instrument that has roll events already is not changed. Raises PriceSpike for a history with a suspected spike, DataError for one that is
    too short.
    """
    with desk.ledger.read() as view:
        if find_roll(view, instrument) is not None:
            return 0
    rule, now, today = roll_rule_of(desk, instrument), desk.now(), desk.today()
    specs = desk.broker.contracts(instrument, since=BEGINNING.date())
    collected = collect_bars(desk, instrument, [spec.contract for spec in specs], frequencies=("D",), full_refresh=True)
    if collected.refused:
        raise PriceSpike(f"{instrument}: its history is not usable: {'; '.join(collected.refused.values())}")
    events = history_events(instrument, contract_prices(desk, instrument), rule, today=today)
    with desk.ledger.begin() as tx:
        append_roll_events(tx, events, now, who="tradeflow", why="seeded from the price history")
        record_contracts(tx, instrument, {spec.contract: (spec.expiry, False) for spec in specs}, now=now)
    return len(events)


def history_events(instrument: str, prices: pd.DataFrame, rule: RollRule, *, today: date) -> list[RollEvent]:
    """The roll events that `rule` gives for the contract prices of an instrument: those that are due by `today`.

    Raises DataError where there is none, or the calendar cannot be built.
    """
    calendar = build_roll_calendar(prices, rule)
    due = np.array([rule.desired_roll_date(int(contract)) <= today for contract in calendar["current_contract"]], dtype=bool)
    if not due.any():
        raise DataError(
            f"{instrument}: its history is too short, since it holds no roll; set simulated.history_years higher, or seed from files"
        )
    events = events_from_calendar(_increasing(calendar[due], instrument), rule)
    return [
        RollEvent(
            instrument,
            row["after"].to_pydatetime(),
            int(row["price_contract"]),
            int(row["forward_contract"]),
            int(row["carry_contract"]),
            "calendar",
        )
        for row in events.to_dict("records")
    ]


def _increasing(calendar: pd.DataFrame, instrument: str) -> pd.DataFrame:
    """The calendar with one roll a date: of several (at the start of a history) the last stays. Raises DataError where dates do not increase."""
    distinct = calendar[~calendar.index.duplicated(keep="last")]
    if not distinct.index.is_monotonic_increasing:
        raise DataError(
            f"{instrument}: the dates of its roll calendar do not increase, since its price history has gaps; seed it from files"
        )
    return distinct
