"""The first prices of an instrument: its history from the broker, and the rolls that its roll rule puts into it."""

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


def seed_instrument(desk: Desk, code: str) -> int:
    """Fetch the daily history of an instrument that has none and derive its roll events; returns the number of events.

    Rolls lie where the roll rule puts them, moved to the nearest day on which both contracts have prices; only those that are due by now.
    An instrument that has roll events already is left as it is.
    """
    with desk.ledger.read() as view:
        if find_roll(view, code) is not None:
            return 0
    rule, now, today = roll_rule_of(desk, code), desk.now(), desk.today()
    specs = desk.broker.contracts(code, since=BEGINNING.date())
    collected = collect_bars(desk, code, [spec.contract for spec in specs], frequencies=("D",), full_refresh=True)
    if collected.refused:
        raise PriceSpike(f"{code}: its history is not usable: {'; '.join(collected.refused)}")
    rows = history_events(code, contract_prices(desk, code), rule, today=today)
    with desk.ledger.begin() as tx:
        append_roll_events(tx, rows, now, who="tradeflow", why="seeded from the price history")
        record_contracts(tx, code, {spec.contract: (spec.expiry, False) for spec in specs}, now=now)
    return len(rows)


def history_events(code: str, prices: pd.DataFrame, rule: RollRule, *, today: date) -> list[RollEvent]:
    """The roll events that `rule` gives for the contract prices of an instrument: those that are due by `today`.

    Raises DataError where there is none, or the calendar cannot be built.
    """
    calendar = build_roll_calendar(prices, rule)
    due = np.array([rule.desired_roll_date(int(contract)) <= today for contract in calendar["current_contract"]], dtype=bool)
    if not due.any():
        raise DataError(
            f"{code}: its history is too short, since it holds no roll; set simulated.history_years higher, or seed from files"
        )
    events = events_from_calendar(_increasing(calendar[due], code), rule)
    return [
        RollEvent(
            code,
            row["after"].to_pydatetime(),
            int(row["price_contract"]),
            int(row["forward_contract"]),
            int(row["carry_contract"]),
            "calendar",
        )
        for row in events.to_dict("records")
    ]


def _increasing(calendar: pd.DataFrame, code: str) -> pd.DataFrame:
    """The calendar without rolls that fall on one date (at the start of a history): the last of them stays. Raises DataError if dates go back."""
    distinct = calendar[~calendar.index.duplicated(keep="last")]
    if not distinct.index.is_monotonic_increasing:
        raise DataError(f"{code}: the dates of its roll calendar go back in time; its price history has gaps, seed it from files")
    return distinct
