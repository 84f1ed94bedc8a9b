"""Changing the roll rule of an instrument: its whole history is rebuilt by another rule, compared with the present one, and put in force.

Recorded rolls are never edited. The history by the new rule is appended as another generation of roll events; the former generation, and the
marks of its rolls, stay in the ledger but no longer count.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import replace_text
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import current_roll, positions_by_contract, replace_roll_events, roll_events_of, set_roll_state
from tradeflow_core.model import RollEvent, RollState, contract_label
from tradeflow_core.prices import contract_prices, history_events, roll_rule_of, run_stages
from tradeflow_core.series import back_adjust, build_from_events

ROLL_COLUMNS = ("Instrument", "HoldRollCycle", "RollOffsetDays", "CarryOffset", "PricedRollCycle", "ExpiryOffset")
_EVENT = ["after", "price_contract", "forward_contract", "carry_contract"]


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """Another roll rule for an instrument, and the history that it gives.

    `rolls`: every roll that differs, columns into (contract id), was, becomes (UTC; NaT: no such roll). `adjusted_change`: the largest
    change of an adjusted price beyond a constant, in price points; `adjusted_differs`: the share of common prices that change so.
    `same_history`: the rule gives exactly the events that are in force.
    """

    instrument: str
    before: RollRule
    after: RollRule
    present: RollEvent
    events: tuple[RollEvent, ...]
    rolls_before: int
    rolls_after: int
    rolls: pd.DataFrame
    multiple_prices: pd.DataFrame
    adjusted_prices: pd.Series
    adjusted_change: float
    adjusted_differs: float
    same_history: bool


def plan_parameters(desk: Desk, instrument: str, rule: RollRule) -> ParameterChange:
    """Rebuild calendar, roll events, multiple and adjusted prices of an instrument by `rule` from its stored contract prices.

    Changes nothing. Raises DataError where contracts that the rule holds have no prices, and StateError for an instrument without a roll
    history.
    """
    prices = contract_prices(desk, instrument, rolls=False)
    with desk.ledger.read() as view:
        present, recorded = current_roll(view, instrument), roll_events_of(view, instrument)
    events = history_events(instrument, prices, rule, today=desk.today())
    frame = pd.DataFrame([[getattr(event, name) for name in _EVENT] for event in events], columns=_EVENT)
    frame["after"] = pd.to_datetime(frame["after"], utc=True).astype("datetime64[us, UTC]")
    multiple = build_from_events(prices, frame)
    adjusted = back_adjust(multiple, method=desk.settings.prices.stitching)
    change, differs = _compare_adjusted(desk, instrument, adjusted)
    return ParameterChange(
        instrument=instrument,
        before=roll_rule_of(desk, instrument),
        after=rule,
        present=present,
        events=tuple(events),
        rolls_before=len(recorded) - 1,
        rolls_after=len(events) - 1,
        rolls=_compare_rolls(recorded, frame),
        multiple_prices=multiple,
        adjusted_prices=adjusted,
        adjusted_change=change,
        adjusted_differs=differs,
        same_history=recorded[_EVENT].equals(frame[_EVENT]),
    )


def apply_parameters(desk: Desk, change: ParameterChange, who: str, *, why: str) -> None:
    """Put the planned change in force: the home's roll table and, where rolls differ, another generation of roll events; rebuild prices.

    The transaction of the events ends after the table is written: an interruption leaves the new rule with the old history, and the same
    command finishes it. Raises StateError if the instrument was rolled meanwhile, or if the priced contract would change while the
    instrument is held.
    """
    instrument = change.instrument
    with desk.ledger.begin() as tx:
        if current_roll(tx, instrument) != change.present:
            raise StateError(f"{instrument}: it was rolled meanwhile; look again and repeat")
        _refuse_while_held(tx, desk, change)
        if not change.same_history:
            replace_roll_events(tx, instrument, change.events, now=desk.now(), who=who, why=why)
            if change.events[-1].price_contract != change.present.price_contract:
                set_roll_state(tx, instrument, RollState.NO_ROLL, now=desk.now(), who=who, why=why)
        write_roll_rule(desk.home.path / "config", instrument, change.after)
    desk.home.__dict__.pop("instruments", None)  # cached from the tables, which have just changed
    run_stages(desk, instrument, ("multiple_prices", "adjusted_prices"))


def _refuse_while_held(tx: Connection, desk: Desk, change: ParameterChange) -> None:
    new = change.events[-1]
    held = {
        contract: quantity
        for (instrument, contract), quantity in positions_by_contract(tx, desk.account).items()
        if instrument == change.instrument and quantity
    }
    stranded = [contract for contract in held if contract not in (new.price_contract, new.forward_contract)]
    if held and (stranded or new.price_contract != change.present.price_contract):
        positions = ", ".join(f"{quantity} of {contract_label(contract)}" for contract, quantity in sorted(held.items()))
        raise StateError(
            f"{change.instrument}: {positions} are held, but by the new rule {contract_label(new.price_contract)} would be priced and "
            f"{contract_label(new.forward_contract)} be forward; roll or close them first"
        )


def write_roll_rule(folder: Path, instrument: str, rule: RollRule) -> Path:
    """Write the row of `instrument` in the roll table of a config folder, or replace it; the other rows stay as they are."""
    path = next((folder / name for name in ("rolls.csv", "rollconfig.csv") if (folder / name).exists()), folder / "rolls.csv")
    header, rows = list(ROLL_COLUMNS), []
    if path.exists():
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), skipinitialspace=True)
        header = [name.strip() for name in reader.fieldnames or header]
        rows = [{str(key).strip(): value for key, value in row.items()} for row in reader]
    if missing := [name for name in ROLL_COLUMNS if name not in header]:
        raise ConfigError(f"{path}, line 1: column {missing[0]} is missing; the header needs {','.join(ROLL_COLUMNS)}")
    values = (instrument, rule.hold, rule.roll_offset, rule.carry_offset, rule.priced, rule.expiry_offset)
    new_row = dict(zip(ROLL_COLUMNS, map(str, values), strict=True))
    number = next((number for number, row in enumerate(rows) if (row["Instrument"] or "").strip() == instrument), len(rows))
    rows[number : number + 1] = [{**(rows[number] if number < len(rows) else {}), **new_row}]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(path, text.getvalue())
    return path


def _compare_rolls(recorded: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    was, becomes = (frame.dropna(subset=["after"]).set_index("price_contract")["after"] for frame in (recorded, planned))
    both = pd.DataFrame({"was": was[~was.index.duplicated()], "becomes": becomes}).rename_axis("into").sort_index()
    same = (both["was"] == both["becomes"]) & both["was"].notna()
    return both[~same].reset_index()


def _compare_adjusted(desk: Desk, instrument: str, adjusted: pd.Series) -> tuple[float, float]:
    if not desk.store.exists("adjusted_prices", instrument):
        return float("nan"), float("nan")
    change = (adjusted - desk.store.read("adjusted_prices", instrument)["price"]).dropna()
    if change.empty:
        return float("nan"), float("nan")
    beyond_constant = (change - change.iloc[-1]).abs()
    noise = 1e-9 * max(float(np.nanmax(np.abs(adjusted.to_numpy()))), 1.0)
    return float(beyond_constant.max()), float((beyond_constant > noise).mean())
