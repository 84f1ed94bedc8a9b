"""Adopting a tape: it becomes the production history of a home."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import Home
from tradeflow_core.instruments import Instrument
from tradeflow_core.ledger import append_roll_events, current_rolls, record_contracts
from tradeflow_core.model import RollEvent
from tradeflow_core.prices import BAR_TYPES, KEY
from tradeflow_core.rolls import record_tape_marks
from tradeflow_core.store import Store, Tape

MARKER_FILE = "adopting"
"""The home has this file while it adopts a tape. It names the tape: an interrupted adoption goes on with the same one only."""


def adopt(home: Home, tape: Tape) -> Home:
    """Make `tape` the price history of `home`: bars, rates, roll events, contracts and instrument tables; returns the home, opened anew.

    All instruments of the tape are taken; the home's universe says which are traded. Raises StateError where the home has price history or
    roll events already, ConfigError where its config folder has tables of its own. If it was interrupted, another call goes on.
    """
    marker = home.path / MARKER_FILE
    desk = Desk(home)
    try:
        with desk.ledger.read() as view:
            has_rolls = bool(current_rolls(view))
        if marker.exists():
            if (adopting := marker.read_text(encoding="utf-8")) != str(tape.path):
                raise StateError(f"{home.path} has begun to adopt the tape {adopting}; finish that one, or make a new home")
        elif has_rolls or desk.store.names("contract_prices") or desk.store.names("spot_fx"):
            raise StateError(f"{home.path} has price history already, so it cannot adopt the tape {tape.path}; make a new home")
        else:
            if tables := sorted(file.name for file in (home.path / "config").glob("*.csv")):
                raise ConfigError(
                    f"{home.path / 'config'} holds {', '.join(tables)}; put these lines into the tables of the tape, then remove them"
                )
            marker.write_text(str(tape.path), encoding="utf-8")
        copy_tables(tape, home.path)
        copy_history(tape, desk.store, tape.codes, currencies=tape.currencies, until=None)
        if not has_rolls:
            with desk.ledger.begin() as tx:
                record_rolls_and_contracts(tx, tape, tape.codes, until=None, now=desk.now())
        marker.unlink()
    finally:
        desk.close()
    return Home.open(home.path)


def copy_tables(tape: Tape, home: Path) -> None:
    """Copy the instrument tables of a tape into the config folder of the home at `home`."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    for file in (tape.path / "config").glob("*.csv"):
        shutil.copyfile(file, home / "config" / file.name)


def copy_history(tape: Tape, store: Store, instruments: list[str], *, currencies: list[str], until: datetime | None) -> None:
    """Write the bars and rates known at `until` (None: all) as the datasets contract_prices and spot_fx."""
    for instrument in instruments:
        bars = tape.bars(instrument)
        known_bars = bars if until is None else bars[bars["end"] <= until]
        store.write("contract_prices", instrument, known_bars.astype(BAR_TYPES).sort_values(KEY, ignore_index=True))
    for currency in currencies:
        rates = tape.fx(currency)
        known_rates = rates if until is None else rates[rates.index <= until]
        store.write("spot_fx", f"{currency}USD", known_rates.rename("rate").to_frame())


def record_rolls_and_contracts(
    tx: Connection, tape: Tape, instruments: list[str], *, until: datetime | None, now: datetime
) -> None:
    """Record in the ledger the roll events before `until` (None: all) and the contracts priced by then, with their approximate expiries."""
    for instrument in instruments:
        events, bars = tape.roll_events(instrument), tape.bars(instrument)
        if until is not None:
            events = events[events["after"].isna() | (events["after"] < until)]
            bars = bars[bars["end"] <= until]
        roll_times = [None if pd.isna(time) else time.to_pydatetime() for time in events["after"]]
        event_contracts = events[["price_contract", "forward_contract", "carry_contract"]].to_numpy(dtype=int).tolist()
        rows = [
            RollEvent(instrument, time, price, forward, carry, "import")
            for time, (price, forward, carry) in zip(roll_times, event_contracts, strict=True)
        ]
        append_roll_events(tx, rows, now, who="import", why=f"from the tape {tape.path.name}")
        record_tape_marks(tx, tape, instrument, after=None, until=rows[-1].after, now=now)
        priced = sorted(bars["contract"].unique().tolist())
        record_contracts(
            tx, instrument, {contract: (_expiry(tape.instruments[instrument], contract), False) for contract in priced}, now=now
        )


def _expiry(instrument: Instrument, contract: int) -> date:
    rule = instrument.roll_rule
    if rule is None:
        raise ConfigError(f"{instrument.code}: no roll rule; add a row for it to rollconfig.csv of the tape")
    return rule.approximate_expiry(contract)
