"""Rolling: the step from one priced contract to the next, the states of a roll, and what to do about it by rule.

A roll is one appended event. Where the two contracts had no price at the same last moment, *marks* go with it: synthetic
quotes of a contract at a stamp. Rebuilding from contract prices with marks, and events, gives the multiple prices; a plan
shows them before anything is stored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments.contracts import RollRule
from tradeflow_core.prices.adjusted import Method, back_adjust, fill_within_runs, forward_fill_across_rolls, label_changes
from tradeflow_core.prices.multiple import (
    EVENT_LABELS,
    LABEL_COLUMNS,
    PRICE_COLUMNS,
    back_out_events,
    build_from_events,
    contract_series,
)
from tradeflow_core.prices.series import ContractTable, PricesLike, decode_contracts, encode_contracts, read_contract_prices

MEDIAN_OF = 5
"""Over how many of the last common prices the offset between two contracts is taken, to infer a missing one."""

_SECOND = pd.Timedelta(seconds=1)


class RollState(StrEnum):
    """How an instrument is being rolled."""

    NO_ROLL = "No_Roll"
    PASSIVE = "Passive"
    FORCE = "Force"
    FORCE_OUTRIGHT = "Force_Outright"
    CLOSE = "Close"
    NO_OPEN = "No_Open"
    ROLL_ADJUSTED = "Roll_Adjusted"


@dataclass(frozen=True, slots=True)
class RollEvent:
    """From after this moment on, these three contracts are in force."""

    after: pd.Timestamp
    price_contract: int
    forward_contract: int
    carry_contract: int


@dataclass(frozen=True, slots=True)
class RollPlan:
    """A roll that has not happened yet: the event and marks to record, and the prices that they would give.

    `marks`: columns contract, date, price, why (`last known`, `inferred`, `first row`). `multiple_prices`,
    `adjusted_prices`: the preview.
    """

    event: RollEvent
    marks: pd.DataFrame
    multiple_prices: pd.DataFrame
    adjusted_prices: pd.Series


@dataclass(frozen=True, slots=True)
class _LastRow:
    """The last row with a price: where it is, and both prices at it, inferred where need be."""

    row: int
    price: float
    forward: float
    inferred: bool


def plan_roll(
    multiple_prices: pd.DataFrame,
    roll_rule: RollRule,
    contract_prices: PricesLike,
    forward_fill: bool = False,
    method: Method = "panama",
) -> RollPlan:
    """The roll of an instrument from its priced contract into its forward contract, after the last row with a price.

    If PRICE or FORWARD is absent there it is inferred from another column by the median of their last five common
    differences in the present contracts; with `forward_fill` the last known price of the same contract is taken first.
    Marks record what was not quoted, and the first row of the new contract, so that prices show the roll at once. Raises
    DataError where a price can be neither had nor inferred, or an older roll cannot be stitched. `method`: how the preview of
    adjusted prices is stitched.
    """
    table = read_contract_prices(contract_prices)
    filled = _filled_within_contracts(multiple_prices) if forward_fill else multiple_prices
    last = _last_row(filled)
    ids = [int(encode_contracts(multiple_prices[label].iloc[[last.row]])[0][0]) for label in LABEL_COLUMNS]
    stamp = pd.DatetimeIndex(multiple_prices.index)[last.row]
    marks: list[tuple[int, pd.Timestamp, float, str]] = []
    if last.inferred:
        quotes = ((ids[0], last.price), (ids[1], last.forward))
        marks += [(contract, stamp + _SECOND, price, "inferred") for contract, price in quotes]
    elif forward_fill:
        for column, contract, price in zip(PRICE_COLUMNS[:2], ids, (last.price, last.forward), strict=False):
            if np.isnan(multiple_prices[column].iloc[last.row]):
                marks.append((contract, stamp, price, "last known"))
    after = stamp + _SECOND if last.inferred else stamp
    event = RollEvent(after, ids[1], *_following(ids[1], roll_rule, table))
    values = [last.forward, *(_value_at(table, contract, stamp) for contract in (event.forward_contract, event.carry_contract))]
    contracts = (event.price_contract, event.forward_contract, event.carry_contract)
    marks += [(contract, after + _SECOND, price, "first row") for contract, price in zip(contracts, values, strict=True)]
    marked = pd.DataFrame(marks, columns=["contract", "date", "price", "why"]).dropna(subset=["price"])
    marked = marked.drop_duplicates(["contract", "date"], ignore_index=True)
    preview = _preview(multiple_prices.iloc[: last.row + 1], marked, event)
    return RollPlan(event, marked, preview, back_adjust(preview, method=method))


def roll_step(
    multiple_prices: pd.DataFrame, roll_rule: RollRule, contract_prices: PricesLike, forward_fill: bool = False
) -> pd.DataFrame:
    """Multiple prices with the one or two rows that a roll appends, as the system that this one replaces writes them.

    `forward_fill` fills every column of the whole table across rolls first. For comparison and moving in: `plan_roll` is
    the rule here. Raises DataError where PRICE or FORWARD can neither be had nor inferred.
    """
    table = read_contract_prices(contract_prices)
    rows = multiple_prices.sort_index(kind="stable")
    rows = forward_fill_across_rolls(rows) if forward_fill else rows
    last = _last_row(rows)
    rows = rows.iloc[: last.row + 1]
    stamp = rows.index[-1]
    old = rows[list(LABEL_COLUMNS)].iloc[-1].tolist()
    priced = int(encode_contracts(rows["FORWARD_CONTRACT"].iloc[[-1]])[0][0])
    forward, carry = _following(priced, roll_rule, table)
    _, as_text = encode_contracts(rows["PRICE_CONTRACT"].iloc[[-1]])
    new = decode_contracts(np.array([priced, forward, carry], dtype=np.int64), as_text).tolist()
    added = [(last.price, last.forward, np.nan, *old)] if last.inferred else []
    added.append((last.forward, _value_at(table, forward, stamp), _value_at(table, carry, stamp), *new))
    index = pd.DatetimeIndex([stamp + _SECOND * (j + 1) for j in range(len(added))], name=rows.index.name)
    extra = pd.DataFrame(added, columns=[*PRICE_COLUMNS, *LABEL_COLUMNS], index=index).astype(
        {c: rows[c].dtype for c in rows.columns}
    )
    return pd.concat([rows, extra[rows.columns]])


def _following(priced: int, rule: RollRule, table: ContractTable) -> tuple[int, int]:
    """Forward and carry contract of the new priced one: by the rule alone, or among the known ids where they carry days."""
    known = [int(contract) for contract in table.ids]
    return rule.forward_of(priced, known), rule.carry_of(priced, known)


def _last_row(rows: pd.DataFrame) -> _LastRow:
    prices = {column: rows[column].to_numpy(dtype=float) for column in PRICE_COLUMNS}
    quoted = np.flatnonzero(~np.all([np.isnan(values) for values in prices.values()], axis=0))
    if not len(quoted):
        raise DataError("cannot roll: multiple prices hold no price at all")
    row = int(quoted[-1])
    labels = {
        column: encode_contracts(rows[label])[0][: row + 1] for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
    }
    prices = {column: values[: row + 1] for column, values in prices.items()}
    found: dict[str, float] = {}
    for column, others in (("PRICE", ("FORWARD", "CARRY")), ("FORWARD", ("PRICE", "CARRY"))):
        value = float(prices[column][row])
        for other in others:
            if np.isnan(value):
                value = _inferred(prices[column], prices[other], labels[column], labels[other])
        if np.isnan(value):
            raise DataError(
                f"cannot roll: no {column} of contract {labels[column][-1]} at {rows.index[row]}, nor one to infer it from; "
                "fill forward, or wait for a quote"
            )
        found[column] = value
    inferred = bool(np.isnan(prices["PRICE"][row]) or np.isnan(prices["FORWARD"][row]))
    return _LastRow(row, found["PRICE"], found["FORWARD"], inferred)


def _inferred(wanted: np.ndarray, given: np.ndarray, wanted_ids: np.ndarray, given_ids: np.ndarray) -> float:
    """The missing last value of `wanted`: that of `given` plus the median of their last differences in the present contracts."""
    here = (wanted_ids == wanted_ids[-1]) & (given_ids == given_ids[-1])
    here[0] = False  # the first row of a table never counts, as in the system that this one replaces
    start = int(np.max(np.flatnonzero(~here), initial=-1)) + 1
    offsets = (wanted - given)[start:]
    offsets = offsets[~np.isnan(offsets)][-MEDIAN_OF:]
    return float(given[-1] + np.median(offsets)) if len(offsets) else float("nan")


def _filled_within_contracts(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    filled = {
        column: fill_within_runs(multiple_prices[column].to_numpy(dtype=float), label_changes(multiple_prices[label]))
        for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
    }
    return multiple_prices.assign(**filled)


def _value_at(table: ContractTable, contract: int, stamp: pd.Timestamp) -> float:
    series = table.series(contract)
    if series is None:
        return float("nan")
    wanted = table.form.integers(pd.DatetimeIndex([stamp]), "multiple prices")[0]
    place = int(series[0].searchsorted(wanted))
    return float(series[1][place]) if place < len(series[0]) and series[0][place] == wanted else float("nan")


def _preview(multiple_prices: pd.DataFrame, marks: pd.DataFrame, event: RollEvent) -> pd.DataFrame:
    """Multiple prices rebuilt with the event and its marks."""
    series, events = contract_series(multiple_prices), back_out_events(multiple_prices)
    series["contract"], as_text = encode_contracts(series["contract"])
    for name in EVENT_LABELS:
        events[name], _ = encode_contracts(events[name])
    series = pd.concat([series, marks[["contract", "date", "price"]]]).drop_duplicates(["contract", "date"])
    preview = build_from_events(series, pd.concat([events, pd.DataFrame([asdict(event)])], ignore_index=True))
    for label in LABEL_COLUMNS if as_text else ():
        preview[label] = decode_contracts(preview[label].to_numpy(dtype=np.int64), as_text)
    return preview


_FLAT: dict[RollState, tuple[RollState, ...]] = {
    RollState.NO_ROLL: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_ROLL, RollState.NO_OPEN),
    RollState.PASSIVE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_ROLL, RollState.NO_OPEN),
    RollState.FORCE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.FORCE_OUTRIGHT: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.CLOSE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.NO_OPEN: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_OPEN),
    RollState.ROLL_ADJUSTED: (RollState.NO_ROLL,),
}
_FORCED = (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.PASSIVE, RollState.NO_ROLL, RollState.CLOSE, RollState.NO_OPEN)
_HELD: dict[RollState, tuple[RollState, ...]] = {
    RollState.NO_ROLL: (
        RollState.PASSIVE,
        RollState.FORCE,
        RollState.FORCE_OUTRIGHT,
        RollState.NO_ROLL,
        RollState.CLOSE,
        RollState.NO_OPEN,
    ),
    RollState.PASSIVE: _FORCED,
    RollState.FORCE: _FORCED,
    RollState.FORCE_OUTRIGHT: _FORCED,
    RollState.CLOSE: (
        RollState.CLOSE,
        RollState.FORCE,
        RollState.FORCE_OUTRIGHT,
        RollState.PASSIVE,
        RollState.NO_ROLL,
        RollState.NO_OPEN,
    ),
    RollState.NO_OPEN: (RollState.CLOSE, RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.PASSIVE, RollState.NO_ROLL),
    RollState.ROLL_ADJUSTED: (RollState.ROLL_ADJUSTED,),
}


def allowed_states(state: RollState, priced_position: float) -> tuple[RollState, ...]:
    """The states that may follow `state`, the recommended one first, given the position in the priced contract."""
    return (_HELD if priced_position else _FLAT)[state]


@dataclass(frozen=True, slots=True)
class AutoRollRules:
    """When to roll without asking. Volumes are of the forward contract; `relative_volume` is forward over priced contract.

    The forward contract is liquid where its relative volume is above `relative_volume`, or above `min_relative_volume` with
    more than `min_absolute_volume` contracts a day. `undecided`: the state to take where a position is held close to
    the roll (None: ask a person). `roll_expired`: roll the price of an expired contract without a position.
    """

    relative_volume: float = 1.0
    min_relative_volume: float = 0.01
    min_absolute_volume: float = 100.0
    near_expiry_days: int = 10
    undecided: RollState | None = None
    roll_expired: bool = True

    def __post_init__(self) -> None:
        if self.undecided is not None and not isinstance(self.undecided, RollState):
            raise ConfigError(f"auto roll rules: undecided is {self.undecided!r}; give a RollState, or None to ask a person")

    def liquid(self, relative_volume: float, forward_volume: float) -> bool:
        """Whether the forward contract trades enough to be rolled into."""
        return relative_volume > self.relative_volume or (
            relative_volume > self.min_relative_volume and forward_volume > self.min_absolute_volume
        )


def suggest_state(
    state: RollState,
    priced_position: float,
    days_to_expiry: int,
    days_to_desired_roll: int,
    relative_volume: float,
    forward_volume: float,
    rules: AutoRollRules = AutoRollRules(),
) -> RollState | None:
    """What the rules would do with an instrument in `state`; None where a person should decide.

    `priced_position`: contracts held of the priced contract; volumes: contracts a day, see `relative_volume`. Never a state
    that may not follow: staying in `state` is always possible, anything else must be one of `allowed_states`.
    """
    flat = not priced_position
    near = days_to_desired_roll < rules.near_expiry_days
    suggestion: RollState | None
    if flat and (days_to_expiry <= 0 and rules.roll_expired):
        suggestion = RollState.ROLL_ADJUSTED
    elif not rules.liquid(relative_volume, forward_volume):
        suggestion = RollState.NO_OPEN if near else RollState.NO_ROLL
    elif flat:
        suggestion = RollState.ROLL_ADJUSTED
    else:
        suggestion = rules.undecided if near else RollState.PASSIVE
    return suggestion if suggestion == state or suggestion in allowed_states(state, priced_position) else None


def smoothed_volume(daily_volumes: pd.Series, now: pd.Timestamp) -> float:
    """Recent contracts a day: exponentially weighted mean (span 3) of the last 14 days; 0 where there are none."""
    recent = daily_volumes[(daily_volumes.index > now - pd.Timedelta(days=14)) & (daily_volumes.index <= now)].dropna()
    return float(recent.ewm(span=3).mean().iloc[-1]) if len(recent) else 0.0


def relative_volume(priced_volume: float, forward_volume: float) -> float:
    """Forward volume over priced volume; a priced volume of 0 counts as 0.0001."""
    return forward_volume / (priced_volume or 0.0001)
