"""Prices that need a person's look: suspected spikes with their context, and what the person decides.

A decision is a mark in the ledger, laid over the bars when they are read; the bars stay what the broker sent. An accepted spike lets the
refused batch be stored by the next update, a rejected bar counts nowhere, a replaced one counts with the price given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import FX_CONTRACT, contract_facts, find_roll, marks_of, rate_marks_of, record_mark
from tradeflow_core.model import contract_label
from tradeflow_core.prices.bar_store import Closes, stored_bars
from tradeflow_core.prices.collect import fetch_bars
from tradeflow_core.prices.pipeline import run_stages
from tradeflow_core.prices.spot_fx import fetch_rates
from tradeflow_core.series import MANUAL, bar_times, lay_over, spike_units, suspicious

CONTEXT_ROWS = 5
Verdict = Literal["accept", "reject", "replace"]


@dataclass(frozen=True, slots=True)
class SuspectPrice:
    """A price that moves by `units` average daily changes. `time` (UTC) is by what a decision names it; `stored`: it is in the store already.

    `context`: the five rows before it and itself, as a person's corrections left them.
    """

    instrument: str
    contract: int
    frequency: str
    time: datetime
    price: float
    units: float
    stored: bool
    context: pd.DataFrame


@dataclass(frozen=True, slots=True)
class PriceDecision:
    """What a person says of the price of `contract` (0: an FX rate) at `time`; `price` for `replace` only."""

    contract: int
    time: datetime
    verdict: Verdict
    price: float | None = None


def review_bars(desk: Desk, code: str, *, fetch: bool = True) -> pd.DataFrame:
    """The bars of an instrument, stored ones and (`fetch`) new ones of the broker, as they came: bar columns, time (UTC), stored (bool).

    Writes nothing. Raises BrokerUnavailable where the broker does not answer.
    """
    stored = stored_bars(desk, code)
    new = stored.iloc[:0]
    if fetch:
        with desk.ledger.read() as view:
            known = contract_facts(view, code)
        new = fetch_bars(
            desk, code, [Closes.of_bars(stored)], contracts=[contract for contract, (_, sampling) in known.items() if sampling]
        ).bars
    return _both(stored, new)


def review_rates(desk: Desk, currency: str, *, fetch: bool = True) -> pd.DataFrame:
    """The rates of a currency against the dollar in the form of `review_bars`: contract 0, frequency D, FINAL the rate."""
    old, new = fetch_rates(desk, currency)
    frames = [_as_bars(rates) for rates in (old if old is not None else new.iloc[:0], new if fetch else new.iloc[:0])]
    return _both(frames[0], frames[1])


def suspects(desk: Desk, code: str, bars: pd.DataFrame) -> list[SuspectPrice]:
    """Every suspected spike nobody has spoken about, by contract, frequency and time; `bars` as the review functions return them.

    `code`: the instrument, or the FX code (EURUSD).
    """
    found = []
    laid = lay_over(bars, _marks(desk, code, bars))
    for (contract, frequency), group in laid.groupby(["contract", "frequency"], sort=True):
        rows = group.sort_values("end", kind="stable").reset_index(drop=True)
        final = pd.Series(rows["FINAL"].to_numpy(), index=pd.DatetimeIndex(rows["end"]))
        beyond = suspicious(final, desk.settings.prices.max_price_spike, None, spoken=rows["spoken"].to_numpy())
        for end, units in beyond.items():
            place = int(np.flatnonzero(final.index == end)[0])
            row = rows.iloc[place]
            context = rows.iloc[max(place - CONTEXT_ROWS, 0) : place + 1]
            found.append(
                SuspectPrice(
                    instrument=code,
                    contract=int(str(contract)),
                    frequency=str(frequency),
                    time=row["time"].to_pydatetime(),
                    price=float(row["FINAL"]),
                    units=float(units),
                    stored=bool(row["stored"]),
                    context=context[["time", "OPEN", "HIGH", "LOW", "FINAL", "VOLUME"]].reset_index(drop=True),
                )
            )
    return found


def decide_prices(
    desk: Desk,
    code: str,
    bars: pd.DataFrame,
    *,
    decisions: Sequence[PriceDecision],
    who: str,
    why: str,
    trust: bool = False,
    dry_run: bool = False,
) -> pd.DataFrame:
    """Record decisions about prices in one transaction; returns them: contract, frequency, time, verdict, was, becomes (NaN: rejected).

    `bars` as the review functions return them. A replacement that would itself be a spike is refused unless the person is to be `trust`ed.
    Where stored prices change, multiple and adjusted prices are rebuilt at once. `dry_run` records nothing. Raises DataError where there is
    no such bar, or a price is not usable.
    """
    rows = [_find(code, bars, decision) for decision in decisions]
    prices = [_price(code, row, decision) for row, decision in zip(rows, decisions, strict=True)]
    if not trust:
        _check_replacements(desk, code, bars, decisions=decisions, prices=prices)
    table = pd.DataFrame(
        {
            "contract": [decision.contract for decision in decisions],
            "frequency": [row["frequency"] for row in rows],
            "time": [decision.time for decision in decisions],
            "verdict": [decision.verdict for decision in decisions],
            "was": [float(row["FINAL"]) for row in rows],
            "becomes": pd.array([np.nan if price is None else price for price in prices], dtype="float64"),
        }
    )
    if dry_run:
        return table
    now = desk.now()
    with desk.ledger.begin() as tx:
        for decision, price in zip(decisions, prices, strict=True):
            record_mark(
                tx,
                code,
                decision.contract,
                time=decision.time,
                price=price,
                source=MANUAL,
                now=now,
                who=who,
                why=f"{decision.verdict}: {why}",
            )
        rolled = find_roll(tx, code) is not None
    if rolled and any(row["stored"] for row in rows) and not is_rates(bars):
        run_stages(desk, code, ("multiple_prices", "adjusted_prices"))
    return table


def is_rates(bars: pd.DataFrame) -> bool:
    """Whether these are FX rates in the form of bars."""
    return bool((bars["contract"] == FX_CONTRACT).all()) and len(bars) > 0


def _both(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    parts = [part.assign(stored=kept) for part, kept in ((stored, True), (new, False)) if len(part)]
    both = pd.concat(parts, ignore_index=True) if parts else stored.assign(stored=pd.Series([], dtype=bool))
    return both.assign(time=bar_times(both))


def _as_bars(rates: pd.Series) -> pd.DataFrame:
    time = pd.Series(pd.DatetimeIndex(rates.index))
    frame = pd.DataFrame({"start": time, "end": time, "FINAL": rates.to_numpy(dtype=float)})
    return frame.assign(contract=FX_CONTRACT, frequency="D", OPEN=np.nan, HIGH=np.nan, LOW=np.nan, VOLUME=np.nan)[BAR_COLUMNS]


def _marks(desk: Desk, code: str, bars: pd.DataFrame) -> pd.DataFrame:
    with desk.ledger.read() as view:
        return rate_marks_of(view, code) if is_rates(bars) else marks_of(view, code)


def _find(code: str, bars: pd.DataFrame, decision: PriceDecision) -> pd.Series:
    same = bars[bars["contract"] == decision.contract]
    at = same[same["time"] == pd.Timestamp(decision.time)]
    name = f"{code} {contract_label(decision.contract)}" if decision.contract else code
    if same.empty:
        raise DataError(f"{name}: there are no prices of it, stored or new; see `tradeflow prices check`")
    if at.empty:
        nearest = same["time"].iloc[int((same["time"] - pd.Timestamp(decision.time)).abs().to_numpy().argmin())]
        raise DataError(
            f"{name}: no price at {decision.time:%Y-%m-%dT%H:%M:%S} UTC; the nearest is at {nearest:%Y-%m-%dT%H:%M:%S} UTC"
        )
    daily = at[at["frequency"] == "D"]  # of several prices at one time the daily one counts
    return (daily if len(daily) else at).iloc[0]


def _price(code: str, row: pd.Series, decision: PriceDecision) -> float | None:
    if decision.verdict == "reject":
        return None
    if decision.verdict == "accept":
        return float(row["FINAL"])
    if decision.price is None or not np.isfinite(decision.price):
        raise DataError(f"{code}: a replaced price must be a number, and not {decision.price}")
    return float(decision.price)


def _check_replacements(
    desk: Desk, code: str, bars: pd.DataFrame, *, decisions: Sequence[PriceDecision], prices: Sequence[float | None]
) -> None:
    """Raise DataError if a replaced price moves more than is plausible, with all decisions in force."""
    if not any(decision.verdict == "replace" for decision in decisions):
        return
    said = pd.DataFrame(
        {
            "contract": [decision.contract for decision in decisions],
            "time": pd.to_datetime([decision.time for decision in decisions], utc=True).astype("datetime64[us, UTC]"),
            "price": pd.array([np.nan if price is None else price for price in prices], dtype="float64"),
            "source": MANUAL,
        }
    )
    marks = pd.concat([_marks(desk, code, bars), said], ignore_index=True).drop_duplicates(["contract", "time"], keep="last")
    replaced = {(decision.contract, pd.Timestamp(decision.time)) for decision in decisions if decision.verdict == "replace"}
    laid = lay_over(bars[bars["contract"].isin({contract for contract, _ in replaced})], marks)
    for (contract, _), group in laid.groupby(["contract", "frequency"], sort=True):
        rows = group.sort_values("end", kind="stable")
        units = spike_units(pd.Series(rows["FINAL"].to_numpy(), index=pd.DatetimeIndex(rows["end"])))
        beyond = rows["time"].iloc[1:][units.to_numpy() > desk.settings.prices.max_price_spike]
        for time in beyond:
            if (int(str(contract)), time) in replaced:
                size = float(units.to_numpy()[np.flatnonzero(rows["time"].iloc[1:] == time)[0]])
                raise DataError(
                    f"{code}: the price that replaces the one of {time:%Y-%m-%d %H:%M} UTC moves {size:.1f} average days itself; "
                    "give another, or confirm it with --yes"
                )
