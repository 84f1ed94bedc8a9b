"""From the broker to the store: which contracts are followed, and their bars.

Bars are facts: a stored one is never changed. New ones are appended; a batch of one contract and frequency that shows a spike is
refused as a whole; a refresh of the whole history adds what is missing and keeps what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS, NoData, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule, display
from tradeflow_core.ledger import RollEvent, append_roll_events, contracts_of, current_roll, marks_of, record_contract
from tradeflow_core.prices.bars import Spike, find_spike
from tradeflow_core.prices.calendars import build_roll_calendar
from tradeflow_core.prices.marks import lay_over, suspicious
from tradeflow_core.prices.multiple import events_from_calendar
from tradeflow_core.prices.sampling import sampling_chain

DATASET = "contract_prices"
FREQUENCIES = ("H", "D")
PRICE_COLUMNS = ["OPEN", "HIGH", "LOW", "FINAL"]
KEY = ["contract", "frequency", "start"]
FREQUENCY_NAMES = ["D", "H"]
BAR_TYPES: dict[str, Any] = {
    "contract": np.dtype("int64"),
    "frequency": pd.CategoricalDtype(FREQUENCY_NAMES),
    **dict.fromkeys(("start", "end"), pd.DatetimeTZDtype("us", "UTC")),
    **dict.fromkeys([*PRICE_COLUMNS, "VOLUME"], np.dtype("float64")),
}


_COLUMNS = pd.Index(BAR_COLUMNS)


class PriceSpike(DataError):
    """A batch of new bars was refused, since a price moves more than is plausible."""


@dataclass
class Collected:
    """What one instrument's download brought: bars added by frequency, contracts without data, batches refused; `bars` are all that are
    stored now (None: as they were)."""

    added: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FREQUENCIES, 0))
    without_data: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    bars: pd.DataFrame | None = None


def roll_rule_of(desk: Desk, code: str) -> RollRule:
    """The roll rule of an instrument. Raises DataError where the tables have none."""
    rule = desk.instrument(code).roll_rule
    if rule is None:
        raise DataError(f"{code}: no roll rule; add a row for it to {desk.home.path / 'config' / 'rolls.csv'}")
    return rule


def stored_bars(desk: Desk, code: str, columns: Sequence[str] = BAR_COLUMNS) -> pd.DataFrame:
    """All stored bars of an instrument (`columns` of them), sorted by contract, frequency and start; empty where there are none."""
    types = {name: BAR_TYPES[name] for name in columns}
    if desk.store.exists(DATASET, code):
        bars = desk.store.read(DATASET, code, None if columns is BAR_COLUMNS else columns)
        return bars if bars.dtypes.to_dict() == types else bars.astype(types)
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in types.items()})


def bars_of(stored: pd.DataFrame, contract: int, frequency: str) -> pd.DataFrame:
    """The stored bars of one contract and frequency, found by bisection: what it costs does not grow with past contracts."""
    low, high = place_of(stored, contract, frequency)
    return stored.iloc[low:high]


def place_of(stored: pd.DataFrame, contract: int, frequency: str) -> tuple[int, int]:
    """First row, and row behind the last, of the bars of one contract and frequency."""
    contracts = stored["contract"].to_numpy()
    low, high = (int(contracts.searchsorted(contract, side)) for side in ("left", "right"))
    codes = _codes(stored)[low:high]
    code = FREQUENCY_NAMES.index(frequency)
    return low + int(codes.searchsorted(code, "left")), low + int(codes.searchsorted(code, "right"))


def _codes(bars: pd.DataFrame) -> np.ndarray:
    """The frequency of each bar as its place in `FREQUENCY_NAMES`."""
    return np.asarray(bars["frequency"].array.codes)  # type: ignore[attr-defined]


def _instants(stamps: pd.Series) -> np.ndarray:
    """Stamps of the store as microseconds since 1970."""
    return np.asarray(stamps.array.asi8)  # type: ignore[attr-defined]


def _in_order(bars: pd.DataFrame) -> pd.DataFrame:
    """The bars (in `BAR_TYPES`) in order of contract, frequency and start, numbered from 0."""
    order = np.lexsort((_instants(bars["start"]), _codes(bars), bars["contract"].to_numpy()))
    sorted_already = bool((order[1:] > order[:-1]).all())
    return (bars if sorted_already else bars.take(order)).reset_index(drop=True)


# --- which contracts -----------------------------------------------------------------------------------------------------


def update_sampled_contracts(desk: Desk, code: str) -> list[int]:
    """Bring the contract table of an instrument up to date; returns the contracts to sample, in order.

    The chain reaches from 100 days behind to one priced contract beyond the furthest current one; expiries are the broker's. Sampling ends
    for a contract that expired before the last business day, has left the chain, or that the broker does not know. An alert goes out when
    the priced, forward or carry contract has expired, or the priced one is unknown to the broker.
    """
    rule, now, today = roll_rule_of(desk, code), desk.now(), desk.today()
    with desk.ledger.read() as view:
        current = current_roll(view, code)
        known = contracts_of(view, code)
    assert current is not None
    keys = {"priced": current.price_contract, "forward": current.forward_contract, "carry": current.carry_contract}
    listed = None
    if any(contract % 100 for contract in keys.values()):  # ids with days: which exist only the broker and our own table know
        listed = sorted({*known.index, *keys.values(), *(spec.contract for spec in desk.broker.contracts(code))})
    chain = sampling_chain(list(keys.values()), rule, now, listed)
    followed = sorted(set(chain) | set(known.index[known["sampling"]]))
    # The bars of a contract's last trading day come in on the morning after it.
    yesterday = np.busday_offset(today, -1, roll="forward").astype(date)
    expiries: dict[int, tuple[date, bool]] = {}
    unknown = set()
    for contract in followed:
        try:
            expiry = desk.broker.contract(code, contract).expiry
            expiries[contract] = (expiry, contract in chain and expiry >= yesterday)
        except UnknownContract:
            expiry = known["expiry"].get(contract, rule.approximate_expiry(contract))
            expiries[contract] = (expiry, False)
            unknown.add(contract)
    recorded = dict(zip(known.index, zip(known["expiry"], known["sampling"], strict=True), strict=True))
    if changed := {contract: facts for contract, facts in expiries.items() if recorded.get(contract) != facts}:
        with desk.ledger.begin() as tx:
            for contract, (expiry, sampling) in changed.items():
                record_contract(tx, code, contract, expiry, sampling, now)
    for role, contract in keys.items():
        expiry = (
            expiries[contract][0] if contract in expiries else known["expiry"].get(contract, rule.approximate_expiry(contract))
        )
        what = f"{code}: the {role} contract {display(contract)}"
        if expiry < today:
            message = f"{what} has expired; roll now: `tradeflow roll set {code} Roll_Adjusted`"
            desk.alerts.send(f"expired contract {code}", message, now)
        elif contract in unknown and role == "priced":
            message = f"{what} is unknown to the broker, so its prices are no longer collected; check the contract, or roll"
            desk.alerts.send(f"unknown contract {code}", message, now)
    return [contract for contract, (_, sampling) in expiries.items() if sampling]


def seed_instrument(desk: Desk, code: str) -> int:
    """Fetch the daily history of an instrument that has none and derive its roll events; returns the number of events.

    Rolls lie where the roll rule puts them, moved to the nearest day on which both contracts have prices; only those that are due by now.
    An instrument that has roll events already is left as it is.
    """
    with desk.ledger.read() as view:
        if current_roll(view, code, required=False) is not None:
            return 0
    rule, now, today = roll_rule_of(desk, code), desk.now(), desk.today()
    specs = desk.broker.contracts(code, since=date(1970, 1, 1))
    collected = collect_bars(desk, code, [spec.contract for spec in specs], frequencies=("D",), full_refresh=True)
    if collected.refused:
        raise PriceSpike(f"{code}: its history is not usable: {'; '.join(collected.refused)}")
    rows = history_events(code, contract_prices(desk, code), rule, today)
    with desk.ledger.begin() as tx:
        append_roll_events(tx, rows, now, "tradeflow", "seeded from the price history")
        for spec in specs:
            record_contract(tx, code, spec.contract, spec.expiry, False, now)
    return len(rows)


def history_events(code: str, prices: pd.DataFrame, rule: RollRule, today: date) -> list[RollEvent]:
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


# --- their bars ----------------------------------------------------------------------------------------------------------


def collect_bars(
    desk: Desk,
    code: str,
    contracts: Sequence[int],
    frequencies: Sequence[str] = FREQUENCIES,
    full_refresh: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Collected:
    """Fetch new bars of the contracts, check them, and write the instrument's file once.

    Normally each contract and frequency goes on after its last stored bar; `full_refresh` asks for everything from `start` on (default:
    the beginning) and adds what is missing. A broker that does not answer raises and nothing is written; a batch with a spike is refused and
    reported, the others are written.
    """
    stored = stored_bars(desk, code)
    new, without_data = fetch_bars(desk, code, stored, contracts, frequencies, full_refresh, start, end)
    return store_bars(desk, code, stored, new, Collected(without_data=without_data, bars=stored))


def fetch_bars(
    desk: Desk,
    code: str,
    stored: pd.DataFrame,
    contracts: Sequence[int],
    frequencies: Sequence[str] = FREQUENCIES,
    full_refresh: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> tuple[pd.DataFrame, list[int]]:
    """Usable bars of the broker that are not among the `stored` ones, in order, and the contracts without any. Writes nothing."""
    now = desk.now()
    fetched: list[pd.DataFrame] = []
    without_data: list[int] = []
    for contract in contracts:
        for frequency in frequencies:
            low, high = place_of(stored, contract, frequency)
            # The bar that starts last need not end last: a price between two hours ends when it starts.
            last = stored["end"].iloc[low:high].max() if high > low else None
            since = _since(desk, last, frequency, full_refresh, start)
            try:
                bars = desk.broker.bars(code, contract, frequency, since, min(end, now) if end else now)
            except (NoData, UnknownContract):
                without_data.append(contract)
                continue
            if len(bars):
                fetched.append(_typed(bars, code, contract, frequency))
    if not fetched:
        return stored.iloc[:0], without_data
    new = clean_bars(desk, check_bars(pd.concat(fetched, ignore_index=True), code, now))
    if full_refresh or start is not None:
        new = not_stored(new, stored)
    return new, without_data


def not_stored(new: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """The bars of `new` whose contract, frequency and start are not among the stored ones."""
    return new[~pd.MultiIndex.from_frame(new[KEY]).isin(pd.MultiIndex.from_frame(stored[KEY]))]


def store_bars(
    desk: Desk,
    code: str,
    stored: pd.DataFrame,
    new: pd.DataFrame,
    report: Collected,
    check: bool = True,
    write: bool = True,
) -> Collected:
    """Write the `stored` bars of an instrument together with its `new` ones, in order, but for batches that show a spike; says what came.

    A batch is of one contract and frequency. `check` False: a person has accepted all of it; `write` False: only say what would come.
    """
    if not len(new):
        return report
    if new.dtypes.to_dict() != BAR_TYPES:
        new = new.astype(BAR_TYPES)
    new = _in_order(new)
    with desk.ledger.read() as view:
        marks = marks_of(view, code)
    batches = []
    for batch, contract, frequency in _batches(new):
        old = bars_of(stored, contract, frequency)
        if check and (spike := _spike(old if len(old) else None, batch, desk.settings.prices.max_price_spike, marks)):
            what = f"{frequency} bars of {display(contract)} from {batch['start'].iloc[0]:%Y-%m-%d %H:%M}"
            report.refused.append(f"{what}: FINAL moves {spike.units:.1f} average days at {spike.date:%Y-%m-%d %H:%M} UTC")
            continue
        report.added[frequency] += len(batch)
        batches.append(batch)
    if batches and write:
        report.bars = _insert(stored, batches)
        desk.store.write(DATASET, code, report.bars)
    return report


def _batches(bars: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, int, str]]:
    """The runs of one contract and frequency in sorted bars, with both."""
    contracts, codes = bars["contract"].to_numpy(), _codes(bars)
    starts = np.flatnonzero(np.append(True, (contracts[1:] != contracts[:-1]) | (codes[1:] != codes[:-1])))
    for start, end in zip(starts, np.append(starts[1:], len(bars)), strict=True):
        yield bars.iloc[start:end], int(contracts[start]), FREQUENCY_NAMES[codes[start]]


def _insert(stored: pd.DataFrame, batches: list[pd.DataFrame]) -> pd.DataFrame:
    """The stored bars with the batches (in order of contract and frequency) put where they belong."""
    pieces, done = [], 0
    for batch in batches:
        low, high = place_of(stored, int(batch["contract"].iloc[0]), str(batch["frequency"].iloc[0]))
        if high > low and batch["start"].iloc[0] <= stored["start"].iloc[high - 1]:
            return pd.concat([stored, *batches]).sort_values(KEY, kind="stable", ignore_index=True)
        pieces += [stored.iloc[done:high], batch]
        done = high
    return pd.concat([piece for piece in (*pieces, stored.iloc[done:]) if len(piece)], ignore_index=True)


def _typed(bars: pd.DataFrame, code: str, contract: int, frequency: str) -> pd.DataFrame:
    """The broker's bars in the columns and types of the store. Raises DataError where that cannot be done."""
    where = f"{code} {display(contract)} {frequency} bars from the broker"
    if missing := [name for name in ("start", "end", "FINAL") if name not in bars]:
        raise DataError(f"{where}: no column {', '.join(missing)}; nothing was stored")
    for name in ("start", "end"):
        if not isinstance(bars[name].dtype, pd.DatetimeTZDtype):
            raise DataError(f"{where}: {name} has no time zone; nothing was stored")
    code_of = FREQUENCY_NAMES.index(frequency)
    frequencies = pd.Categorical.from_codes(np.full(len(bars), code_of, dtype="int8"), dtype=BAR_TYPES["frequency"])
    frame = bars.copy(deep=False) if bars.columns.equals(_COLUMNS) else bars.reindex(columns=BAR_COLUMNS)
    frame["contract"], frame["frequency"] = contract, frequencies
    if frame.dtypes.to_dict() == BAR_TYPES:
        return frame
    try:
        return frame.astype(BAR_TYPES)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: a price or volume is not a number ({error}); nothing was stored") from error


def check_bars(bars: pd.DataFrame, code: str, now: datetime) -> pd.DataFrame:
    """The bars in order of contract, frequency and start, proven usable: finite prices, each start once; those not ended by `now` are left out.

    Raises DataError naming the first offending bar. VOLUME, OPEN, HIGH and LOW may be missing (NaN).
    """
    frame = _in_order(bars)
    starts, codes, contracts = _instants(frame["start"]), _codes(frame), frame["contract"].to_numpy()
    same = (starts[1:] == starts[:-1]) & (codes[1:] == codes[:-1]) & (contracts[1:] == contracts[:-1])
    for wrong, what in (
        (~np.isfinite(frame["FINAL"].to_numpy()), "FINAL is not a finite number"),
        (np.isinf([frame[name].to_numpy() for name in PRICE_COLUMNS]).any(axis=0), "a price is infinite"),
        (np.concatenate(([False], same))[: len(frame)], "the start occurs twice"),
        ((frame["end"] < frame["start"]).to_numpy(), "it ends before it starts"),
    ):
        if wrong.any():
            bad = frame[wrong].iloc[0]
            raise DataError(
                f"{code} {display(int(bad['contract']))} {bad['frequency']} bar of {bad['start']:%Y-%m-%d %H:%M} UTC from the broker: {what}; "
                "nothing was stored"
            )
    return frame[frame["end"] <= now]


def _since(desk: Desk, last: pd.Timestamp | None, frequency: str, full_refresh: bool, start: datetime | None) -> datetime:
    if full_refresh or start is not None:
        return start or datetime(1970, 1, 1, tzinfo=desk.now().tzinfo)
    if last is not None:
        return last.to_pydatetime()
    return desk.now() - timedelta(days=desk.settings.prices.intraday_history_days if frequency == "H" else 366)


def clean_bars(desk: Desk, bars: pd.DataFrame) -> pd.DataFrame:
    """Bars without those that the settings drop: no volume (by frequency), price zero, negative price."""
    rules = desk.settings.prices
    hourly = _codes(bars) == FREQUENCY_NAMES.index("H")
    drop = (bars["VOLUME"].to_numpy() == 0) & ((hourly & rules.drop_zero_volume_intraday) | (~hourly & rules.drop_zero_volume_daily))
    if rules.drop_zero_prices:
        drop |= bars["FINAL"].to_numpy() == 0
    if rules.drop_negative_prices:
        drop |= bars["FINAL"].to_numpy() < 0
    return bars[~drop] if drop.any() else bars


def _spike(old: pd.DataFrame | None, batch: pd.DataFrame, limit: float, marks: pd.DataFrame) -> Spike | None:
    since = None if old is None else batch["end"].min()
    if len(marks):
        both = batch if old is None else pd.concat([old, batch])
        laid = lay_over(both, marks).sort_values("end", kind="stable")
        final = pd.Series(laid["FINAL"].to_numpy(), index=pd.DatetimeIndex(laid["end"]))
        beyond = suspicious(final, limit, since, laid["spoken"].to_numpy())
        return Spike(beyond.index[0], float(beyond.iloc[0])) if len(beyond) else None
    parts = [batch] if old is None else [old, batch]
    ends = np.concatenate([_instants(part["end"]) for part in parts])
    finals = np.concatenate([part["FINAL"].to_numpy() for part in parts])
    prices = pd.Series(finals, index=pd.DatetimeIndex(ends.view("M8[us]"), tz="UTC"))
    if not prices.index.is_monotonic_increasing:
        prices = prices.sort_index(kind="stable")
    return find_spike(prices, since, limit)


# --- what derives from them ----------------------------------------------------------------------------------------------


def marked_bars(desk: Desk, code: str) -> pd.DataFrame:
    """The stored bars with a person's corrections laid over them: a replaced FINAL moves OPEN, HIGH and LOW by as much, rejected bars go."""
    with desk.ledger.read() as view:
        marks = marks_of(view, code)
    return lay_over(stored_bars(desk, code), marks)[BAR_COLUMNS].reset_index(drop=True)


def contract_prices(desk: Desk, code: str, rolls: bool = True, bars: pd.DataFrame | None = None) -> pd.DataFrame:
    """The prices of all contracts of an instrument as derived artifacts see them: columns contract (int64), date (UTC), price.

    A bar counts at its end if daily, at its start if intraday; where both fall on one instant the daily one counts. Marks of the ledger
    lie over the bars: a price replaces or adds one, a rejection removes it. `rolls` False leaves out the marks that rolls have made, which
    belong to the present history of rolls. `bars`: the stored bars, where they have been read already.
    """
    if bars is None:
        bars = stored_bars(desk, code, ("contract", "frequency", "start", "end", "FINAL"))
    with desk.ledger.read() as view:
        marks = marks_of(view, code)
    marks = marks if rolls else marks[marks["source"] != "roll"]
    ranks = (_codes(bars) == FREQUENCY_NAMES.index("D")).astype("int8")
    contracts, prices = bars["contract"].to_numpy(), bars["FINAL"].to_numpy()
    instants = np.where(ranks == 1, _instants(bars["end"]), _instants(bars["start"]))  # as `bar_times` says
    if len(marks):
        contracts = np.concatenate([contracts, marks["contract"].to_numpy(dtype="int64")])
        instants = np.concatenate([instants, _instants(marks["time"])])
        prices = np.concatenate([prices, marks["price"].to_numpy()])
        ranks = np.concatenate([ranks, np.full(len(marks), 2, dtype="int8")])
    order = np.lexsort((ranks, instants, contracts))
    contracts, instants, prices = contracts[order], instants[order], prices[order]
    counts = np.append((contracts[1:] != contracts[:-1]) | (instants[1:] != instants[:-1]), True)[: len(order)] & ~np.isnan(
        prices
    )
    dates = pd.DatetimeIndex(instants[counts].view("M8[us]"), tz="UTC")
    return pd.DataFrame({"contract": contracts[counts], "date": dates, "price": prices[counts]})
