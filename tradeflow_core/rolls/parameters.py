"""Changing how an instrument is rolled: its whole history made again by another rule, compared with the present one, and put in force.

Recorded rolls are never edited. The history by the new rule is appended as another generation of roll events; the former one, and the marks
of its rolls, stay in the ledger and are out of force.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import current_roll, positions_by_contract, replace_roll_events, roll_events_of, set_roll_state
from tradeflow_core.model import RollEvent, RollState, contract_label
from tradeflow_core.prices import contract_prices, history_events, roll_rule_of, run_stages
from tradeflow_core.series import back_adjust, build_from_events

ROLL_COLUMNS = ("Instrument", "HoldRollCycle", "RollOffsetDays", "CarryOffset", "PricedRollCycle", "ExpiryOffset")
_EVENT = ["after", "price_contract", "forward_contract", "carry_contract"]


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """Another roll rule for an instrument, and what it would make of its history.

    `rolls`: every roll that is different, columns into (contract id), was, becomes (UTC; NaT: no such roll). `adjusted_change`: the largest
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


def plan_parameters(desk: Desk, code: str, rule: RollRule) -> ParameterChange:
    """Rebuild calendar, roll events, multiple and adjusted prices of an instrument by `rule` from its stored contract prices.

    Changes nothing. Raises DataError where the prices do not allow it (contracts that the rule would hold and that have no prices), and
    StateError for an instrument without a history.
    """
    prices = contract_prices(desk, code, rolls=False)
    with desk.ledger.read() as view:
        present, recorded = current_roll(view, code), roll_events_of(view, code)
    events = history_events(code, prices, rule, today=desk.today())
    frame = pd.DataFrame([[getattr(event, name) for name in _EVENT] for event in events], columns=_EVENT)
    frame["after"] = pd.to_datetime(frame["after"], utc=True).astype("datetime64[us, UTC]")
    multiple = build_from_events(prices, frame)
    adjusted = back_adjust(multiple, method=desk.settings.prices.stitching)
    change, differs = _compare_adjusted(desk, code, adjusted)
    return ParameterChange(
        instrument=code,
        before=roll_rule_of(desk, code),
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

    The events become durable after the table is written, so that an interruption leaves the new rule with the old history, and the same
    command finishes it. Raises StateError when somebody rolled meanwhile, or the priced contract would become another one while
    the instrument is held.
    """
    code = change.instrument
    with desk.ledger.begin() as tx:
        if current_roll(tx, code) != change.present:
            raise StateError(f"{code}: it was rolled meanwhile; look again and repeat")
        _refuse_while_held(tx, desk, change)
        if not change.same_history:
            replace_roll_events(tx, code, change.events, now=desk.now(), who=who, why=why)
            if change.events[-1].price_contract != change.present.price_contract:
                set_roll_state(tx, code, RollState.NO_ROLL, now=desk.now(), who=who, why=why)
        write_roll_rule(desk.home.path / "config", code, change.after)
    desk.home.__dict__.pop("instruments", None)  # read from the tables once; they have just changed
    run_stages(desk, code, ("multiple_prices", "adjusted_prices"))


def _refuse_while_held(tx: Connection, desk: Desk, change: ParameterChange) -> None:
    new = change.events[-1]
    held = {
        contract: quantity
        for (code, contract), quantity in positions_by_contract(tx, desk.account).items()
        if code == change.instrument and quantity
    }
    stranded = {contract: n for contract, n in held.items() if contract not in (new.price_contract, new.forward_contract)}
    if held and (stranded or new.price_contract != change.present.price_contract):
        what = ", ".join(f"{quantity} of {contract_label(contract)}" for contract, quantity in sorted(held.items()))
        raise StateError(
            f"{change.instrument}: {what} are held, but by the new rule {contract_label(new.price_contract)} would be priced and "
            f"{contract_label(new.forward_contract)} be forward; roll or close them first"
        )


def write_roll_rule(folder: Path, code: str, rule: RollRule) -> Path:
    """Write the row of `code` in the roll table of a config folder, in place of the one it has; the other rows stay as they are."""
    path = next((folder / name for name in ("rolls.csv", "rollconfig.csv") if (folder / name).exists()), folder / "rolls.csv")
    header, rows = list(ROLL_COLUMNS), []
    if path.exists():
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), skipinitialspace=True)
        header = [name.strip() for name in reader.fieldnames or header]
        rows = [{str(key).strip(): value for key, value in row.items()} for row in reader]
    if missing := [name for name in ROLL_COLUMNS if name not in header]:
        raise ConfigError(f"{path}, line 1: column {missing[0]} is missing; the header needs {','.join(ROLL_COLUMNS)}")
    values = (code, rule.hold, rule.roll_offset, rule.carry_offset, rule.priced, rule.expiry_offset)
    own = dict(zip(ROLL_COLUMNS, map(str, values), strict=True))
    place = next((place for place, row in enumerate(rows) if (row["Instrument"] or "").strip() == code), len(rows))
    rows[place : place + 1] = [{**(rows[place] if place < len(rows) else {}), **own}]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return path


def _compare_rolls(recorded: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    was, becomes = (frame.dropna(subset=["after"]).set_index("price_contract")["after"] for frame in (recorded, planned))
    both = pd.DataFrame({"was": was[~was.index.duplicated()], "becomes": becomes}).rename_axis("into").sort_index()
    same = (both["was"] == both["becomes"]) & both["was"].notna()
    return both[~same].reset_index()


def _compare_adjusted(desk: Desk, code: str, adjusted: pd.Series) -> tuple[float, float]:
    if not desk.store.exists("adjusted_prices", code):
        return float("nan"), float("nan")
    change = (adjusted - desk.store.read("adjusted_prices", code)["price"]).dropna()
    if change.empty:
        return float("nan"), float("nan")
    beyond = (change - change.iloc[-1]).abs()
    noise = 1e-9 * max(float(np.nanmax(np.abs(adjusted.to_numpy()))), 1.0)
    return float(beyond.max()), float((beyond > noise).mean())
