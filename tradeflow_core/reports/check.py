"""`tradeflow check`: checks all invariants of the ledger and the store; each broken one is a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.execution import position_breaks
from tradeflow_core.ledger import LedgerTrouble, damage
from tradeflow_core.prices import Closes, stored_closes


def check_desk(desk: Desk) -> list[str]:
    """All problems of the ledger and of the stored series, and differences from the broker's positions; empty if there are none."""
    problems = damage(desk.ledger.engine, quick=False)
    try:
        return [*problems, *store_problems(desk), *_differences(desk)]
    except LedgerTrouble as error:
        return [*problems, str(error)]


def _differences(desk: Desk) -> list[str]:
    """What the ledger and the broker hold differently."""
    try:
        return [
            f"{each.instrument} {each.contract}: the ledger holds {each.ledger}, the broker {each.broker}"
            for each in position_breaks(desk)
        ]
    except LedgerTrouble:
        raise
    except TradeflowError as error:
        return [f"positions could not be compared with the broker's: {error}"]


def store_problems(desk: Desk) -> list[str]:
    """Stored series that cannot be read, do not fit their checksum, are not sorted, hold a time twice, or end in the future."""
    damaged = {
        place: problem for dataset in desk.store.files.folders("") for place, problem in desk.store.damage(dataset).items()
    }
    problems, skipped = list(damaged.values()), {(folder.partition("/")[0], name) for folder, name in damaged}
    now = pd.Timestamp(desk.now())
    for dataset in ("multiple_prices", "adjusted_prices", "spot_fx", "total_capital"):
        for name in desk.store.names(dataset):
            if (dataset, name) not in skipped:
                index = pd.DatetimeIndex(desk.store.read(dataset, name, ()).index)
                problems += _index_problems(index, f"{dataset} of {name}", now)
    for name in desk.store.names("contract_prices"):
        for part in [] if ("contract_prices", name) in skipped else stored_closes(desk, name):
            problems += _bar_problems(part, f"contract_prices of {name}", now)
    return problems


def _bar_problems(bars: Closes, series: str, now: pd.Timestamp) -> list[str]:
    keys = (bars.contract, bars.frequency, bars.start)
    all_equal, is_later = np.ones(max(len(bars.end) - 1, 0), dtype=bool), np.zeros(max(len(bars.end) - 1, 0), dtype=bool)
    for key in keys:
        is_later |= all_equal & (key[1:] > key[:-1])
        all_equal &= key[1:] == key[:-1]
    problems = []
    if all_equal.any():
        problems.append(f"{series}: a bar is stored twice")
    if not (all_equal | is_later).all():
        problems.append(f"{series}: bars are not in order")
    last = pd.Timestamp(int(bars.end.max(initial=0)), unit="us", tz="UTC")
    if last > now:
        problems.append(f"{series}: a bar ends in the future, at {last}")
    return problems


def _index_problems(index: pd.DatetimeIndex, series: str, now: pd.Timestamp) -> list[str]:
    problems = []
    if not index.is_unique:
        problems.append(f"{series}: the time {index[index.duplicated()][0]} occurs twice")
    if not index.is_monotonic_increasing:
        problems.append(f"{series}: times are not in order")
    # A roll adds rows up to two seconds after the last price.
    if len(index) and index.max() > now + pd.Timedelta(seconds=2):
        problems.append(f"{series}: a time is in the future, {index.max()}")
    return problems
