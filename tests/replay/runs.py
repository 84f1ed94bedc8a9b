"""Replays that tests run, and what they compare of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.frames import table_of
from tests.replay.folders import END, START, write_folder
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.importers import import_pysystemtrade
from tradeflow_core.ledger import allocations, fills, instrument_orders, positions_by_contract, roll_events
from tradeflow_core.replay import seed_replay
from tradeflow_core.store import Tape

ROLL_RULES = {"TRADEFLOW_ROLLS__PASSIVE_DAYS": "4", "TRADEFLOW_ROLLS__FORCE_DAYS": "2"}
"""So that the replayed days hold days before the roll, passive ones and forced ones."""


def make_tape(folder: Path) -> Tape:
    """The small tape, made in `folder`."""
    import_pysystemtrade(write_folder(folder / "csv"), folder / "small")
    return Tape.open(folder / "small")


def seed(home: Path, tape: Tape) -> Home:
    """The home of the usual replay of the small tape."""
    return seed_replay(home, tape, START, end=END)


def fills_of(desk: Desk) -> pd.DataFrame:
    """Every fill, without what is random: the references of orders and the numbers that the broker gave."""
    with desk.ledger.read() as view:
        frame = table_of(view, allocations).merge(table_of(view, fills)[["id", "commission"]], left_on="fill_id", right_on="id")
    columns = ["time", "strategy", "instrument", "contract", "quantity", "price", "commission"]
    return frame[columns].sort_values(columns, ignore_index=True)


def rolls_of(desk: Desk) -> pd.DataFrame:
    """Every roll event and when it was recorded."""
    with desk.ledger.read() as view:
        return table_of(view, roll_events)[["instrument", "after", "price_contract", "recorded_at"]]


def orders_of(desk: Desk) -> pd.DataFrame:
    """Every instrument order."""
    with desk.ledger.read() as view:
        return table_of(view, instrument_orders)


def positions_of(desk: Desk) -> dict[tuple[str, int], int]:
    """What the ledger says is held."""
    with desk.ledger.read() as view:
        return positions_by_contract(view, desk.account)
