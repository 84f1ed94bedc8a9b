"""A desk that moves over: a tape becomes the production history of a home."""

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
from tradeflow_core.store import Store, Tape

UNDERWAY = "adopting"
"""A file of the home while a tape is being adopted: an adoption that was interrupted may go on, and with the same tape only."""


def adopt(home: Home, tape: Tape) -> Home:
    """Make `tape` the price history of `home`: bars, rates, roll events, contracts and instrument tables; returns the home, opened anew.

    All instruments of the tape come along; the home's universe says which are traded. Raises StateError where the home has price history or
    roll events already, ConfigError where its config folder has tables of its own. Interrupted, it goes on when it is asked again.
    """
    marker = home.path / UNDERWAY
    desk = Desk(home)
    try:
        with desk.ledger.read() as view:
            rolled = bool(current_rolls(view))
        if marker.exists():
            if (begun := marker.read_text(encoding="utf-8")) != str(tape.path):
                raise StateError(f"{home.path} has begun to adopt the tape {begun}; finish that one, or make a new home")
        elif rolled or desk.store.names("contract_prices") or desk.store.names("spot_fx"):
            raise StateError(f"{home.path} has price history already, so it cannot adopt the tape {tape.path}; make a new home")
        else:
            if own := sorted(file.name for file in (home.path / "config").glob("*.csv")):
                raise ConfigError(
                    f"{home.path / 'config'} holds {', '.join(own)}; put these lines into the tables of the tape, then remove them"
                )
            marker.write_text(str(tape.path), encoding="utf-8")
        copy_tables(tape, home.path)
        copy_history(tape, desk.store, tape.codes, currencies=tape.currencies, until=None)
        if not rolled:
            with desk.ledger.begin() as tx:
                record_past(tx, tape, tape.codes, until=None, now=desk.now())
        marker.unlink()
    finally:
        desk.close()
    return Home.open(home.path)


def copy_tables(tape: Tape, home: Path) -> None:
    """Copy the instrument tables of a tape into the config folder of the home at `home`."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    for file in (tape.path / "config").glob("*.csv"):
        shutil.copyfile(file, home / "config" / file.name)


def copy_history(tape: Tape, store: Store, codes: list[str], *, currencies: list[str], until: datetime | None) -> None:
    """Write the bars and rates that were known at `until` (None: all) as the datasets contract_prices and spot_fx."""
    for code in codes:
        bars = tape.bars(code)
        known = bars if until is None else bars[bars["end"] <= until]
        store.write("contract_prices", code, known.astype(BAR_TYPES).sort_values(KEY, ignore_index=True))
    for currency in currencies:
        rates = tape.fx(currency)
        known_rates = rates if until is None else rates[rates.index <= until]
        store.write("spot_fx", f"{currency}USD", known_rates.rename("rate").to_frame())


def record_past(tx: Connection, tape: Tape, codes: list[str], *, until: datetime | None, now: datetime) -> None:
    """Record the roll events before `until` (None: all) and the contracts priced by then, with their approximate expiries."""
    for code in codes:
        events, bars = tape.roll_events(code), tape.bars(code)
        if until is not None:
            events = events[events["after"].isna() | (events["after"] < until)]
            bars = bars[bars["end"] <= until]
        after = [None if pd.isna(instant) else instant.to_pydatetime() for instant in events["after"]]
        labels = events[["price_contract", "forward_contract", "carry_contract"]].to_numpy(dtype=int).tolist()
        rows = [
            RollEvent(code, instant, price, forward, carry, "import")
            for instant, (price, forward, carry) in zip(after, labels, strict=True)
        ]
        append_roll_events(tx, rows, now, who="import", why=f"from the tape {tape.path.name}")
        known = sorted(bars["contract"].unique().tolist())
        record_contracts(tx, code, {contract: (_expiry(tape.instruments[code], contract), False) for contract in known}, now=now)


def _expiry(instrument: Instrument, contract: int) -> date:
    rule = instrument.roll_rule
    if rule is None:
        raise ConfigError(f"{instrument.code}: no roll rule; add a row for it to rollconfig.csv of the tape")
    return rule.approximate_expiry(contract)
