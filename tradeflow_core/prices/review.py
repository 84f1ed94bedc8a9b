"""Prices to be checked by hand: suspected spikes with their context, what else is doubtful, and decisions about them.

A decision is a mark in the ledger, applied on read; the bars stay as the broker sent them. After an accepted spike the next update stores the
refused batch; a rejected bar is ignored everywhere; a replaced one counts with the new price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import FX_CONTRACT, contract_facts, find_roll, marks_of, rate_marks_of, record_mark
from tradeflow_core.model import contract_label
from tradeflow_core.plausibility import SPIKE, Finding, doubtful_bars, doubtful_rates
from tradeflow_core.prices.bar_store import BAR_TYPES, Closes, in_order, stored_bars
from tradeflow_core.prices.collect import fetch_bars, refused_bars
from tradeflow_core.prices.pipeline import run_stages
from tradeflow_core.prices.spot_fx import fetch_rates
from tradeflow_core.series import MANUAL, apply_marks, bar_times, spike_units, suspected_spikes

CONTEXT_ROWS = 5
Verdict = Literal["accept", "reject", "replace"]


@dataclass(frozen=True, slots=True)
class SuspectPrice:
    """A price that moves by `units` average daily changes. A decision refers to it by `contract` and `time` (UTC). `stored`: it is in
    the store already. `context`: the five rows before it and its own, with corrections applied.
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
    """A manual decision about the price of `contract` (0: an FX rate) at `time` (UTC), or about all from `time` to `until`.

    For `replace` only: the `price`, or the `factor` by which each is multiplied.
    """

    contract: int
    time: datetime
    verdict: Verdict
    price: float | None = None
    until: datetime | None = None
    factor: float | None = None


def review_bars(desk: Desk, instrument: str, *, fetch: bool = True) -> pd.DataFrame:
    """The bars of an instrument, stored ones and (`fetch`) new ones of the broker, uncorrected: bar columns, time (UTC), stored (bool).

    Writes nothing. Raises BrokerUnavailable where the broker does not answer.
    """
    stored = stored_bars(desk, instrument)
    new = stored.iloc[:0]
    if fetch:
        with desk.ledger.read() as view:
            facts = contract_facts(view, instrument)
        sampled = [contract for contract, (_, sampling) in facts.items() if sampling]
        new = fetch_bars(desk, instrument, [Closes.of_bars(stored)], contracts=sampled).bars
    return _stored_and_new(stored, new)


def review_rates(desk: Desk, currency: str, *, fetch: bool = True) -> pd.DataFrame:
    """The rates of a currency against the dollar in the form of `review_bars`: contract 0, frequency D, FINAL the rate."""
    old, new = fetch_rates(desk, currency)
    frames = [_as_bars(rates) for rates in (old if old is not None else new.iloc[:0], new if fetch else new.iloc[:0])]
    return _stored_and_new(frames[0], frames[1])


def suspect_prices(desk: Desk, instrument: str, bars: pd.DataFrame) -> list[SuspectPrice]:
    """Every suspected spike that nobody has decided about, by contract, frequency and time; `bars` as the review functions return them.

    `instrument`: its code, or an FX code (EURUSD).
    """
    spikes = []
    corrected = apply_marks(bars, _marks(desk, instrument, bars))
    for (contract, frequency), group in corrected.groupby(["contract", "frequency"], sort=True):
        rows = group.sort_values("end", kind="stable").reset_index(drop=True)
        final = pd.Series(rows["FINAL"].to_numpy(), index=pd.DatetimeIndex(rows["end"]))
        changes = suspected_spikes(final, desk.settings.prices.max_price_spike, None, decided=rows["decided"].to_numpy())
        for end, units in changes.items():
            number = int(np.flatnonzero(final.index == end)[0])
            row = rows.iloc[number]
            context = rows.iloc[max(number - CONTEXT_ROWS, 0) : number + 1]
            spikes.append(
                SuspectPrice(
                    instrument=instrument,
                    contract=int(str(contract)),
                    frequency=str(frequency),
                    time=row["time"].to_pydatetime(),
                    price=float(row["FINAL"]),
                    units=float(units),
                    stored=bool(row["stored"]),
                    context=context[["time", "OPEN", "HIGH", "LOW", "FINAL", "VOLUME"]].reset_index(drop=True),
                )
            )
    return spikes


def doubts(desk: Desk, instrument: str, bars: pd.DataFrame) -> list[Finding]:
    """What is doubtful beside spikes, and nobody has decided about: why new bars are refused, and what deserves a look among all.

    `instrument`, `bars`: as of `suspect_prices`. Stamps are those by which decisions name a price.
    """
    corrected = apply_marks(bars, _marks(desk, instrument, bars))
    if is_rates(bars):
        rates = corrected.sort_values("time", kind="stable")
        series = pd.Series(rates["FINAL"].to_numpy(), index=pd.DatetimeIndex(rates["time"]))
        return doubtful_rates(instrument[:3], series, rates["decided"].to_numpy(dtype=bool))
    stored, new = (in_order(bars.loc[bars["stored"] == is_stored, BAR_COLUMNS].astype(BAR_TYPES)) for is_stored in (True, False))
    refused = refused_bars(desk, instrument, Closes.of_bars(new), stored=[Closes.of_bars(stored)]) if len(new) else {}
    found = [
        replace(finding, detail=f"New {frequency} bars: {finding.detail}.")
        for (_, frequency), finding in refused.items()
        if finding.kind != SPIKE
    ]
    return [*found, *doubtful_bars(corrected)]


def recent_doubts(desk: Desk, instrument: str, *, days: int) -> list[Finding]:
    """What deserves a look among the stored bars of the last days, and nobody has decided about."""
    bars = stored_bars(desk, instrument, since=desk.now() - timedelta(days=days))
    bars = bars.assign(time=bar_times(bars))
    with desk.ledger.read() as view:
        return doubtful_bars(apply_marks(bars, marks_of(view, instrument)))


def decide_prices(
    desk: Desk,
    instrument: str,
    bars: pd.DataFrame,
    *,
    decisions: Sequence[PriceDecision],
    who: str,
    why: str,
    trust: bool = False,
    dry_run: bool = False,
) -> pd.DataFrame:
    """Record decisions about prices in one transaction; returns them: contract, frequency, time, verdict, was, becomes (NaN: rejected).

    `instrument`: its code, or an FX code; `bars` as the review functions return them. A replacement that would itself be a spike is refused
    unless `trust`. Where stored prices change, multiple and adjusted prices are rebuilt at once. `dry_run` records nothing. Raises DataError
    where there is no such bar, or a price is not usable.
    """
    each = [one for decision in decisions for one in _single(instrument, bars, decision)]
    decisions, rows = [decision for decision, _ in each], [row for _, row in each]
    prices = [_decided_price(instrument, row, decision) for row, decision in zip(rows, decisions, strict=True)]
    if not trust:
        _check_replacements(desk, instrument, bars, decisions=decisions, prices=prices)
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
                instrument,
                decision.contract,
                time=decision.time,
                price=price,
                source=MANUAL,
                now=now,
                who=who,
                why=f"{decision.verdict}: {why}",
            )
        has_rolls = find_roll(tx, instrument) is not None
    if has_rolls and any(row["stored"] for row in rows) and not is_rates(bars):
        run_stages(desk, instrument, ("multiple_prices", "adjusted_prices"))
    return table


def is_rates(bars: pd.DataFrame) -> bool:
    """Whether these are FX rates in the form of bars."""
    return bool((bars["contract"] == FX_CONTRACT).all()) and len(bars) > 0


def _stored_and_new(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    parts = [part.assign(stored=is_stored) for part, is_stored in ((stored, True), (new, False)) if len(part)]
    bars = pd.concat(parts, ignore_index=True) if parts else stored.assign(stored=pd.Series([], dtype=bool))
    return bars.assign(time=bar_times(bars))


def _as_bars(rates: pd.Series) -> pd.DataFrame:
    time = pd.Series(pd.DatetimeIndex(rates.index))
    frame = pd.DataFrame({"start": time, "end": time, "FINAL": rates.to_numpy(dtype=float)})
    return frame.assign(contract=FX_CONTRACT, frequency="D", OPEN=np.nan, HIGH=np.nan, LOW=np.nan, VOLUME=np.nan)[BAR_COLUMNS]


def _marks(desk: Desk, instrument: str, bars: pd.DataFrame) -> pd.DataFrame:
    with desk.ledger.read() as view:
        return rate_marks_of(view, instrument) if is_rates(bars) else marks_of(view, instrument)


def _single(instrument: str, bars: pd.DataFrame, decision: PriceDecision) -> Iterator[tuple[PriceDecision, pd.Series]]:
    """A decision about several prices as one about each, with its bar. Raises DataError where there is none."""
    if decision.until is None:
        yield decision, _bar_of(instrument, bars, decision)
        return
    chosen = bars[(bars["contract"] == decision.contract) & bars["time"].between(decision.time, decision.until)]
    if chosen.empty:
        raise DataError(
            f"{instrument}: no price of {contract_label(decision.contract) if decision.contract else 'it'} from "
            f"{decision.time:%Y-%m-%dT%H:%M} to {decision.until:%Y-%m-%dT%H:%M} UTC; see `tradeflow prices check`"
        )
    # Of several bars at one time the daily one counts.
    chosen = chosen.assign(rank=chosen["frequency"] != "D").sort_values(["time", "rank"]).drop_duplicates("time")
    for _, row in chosen.iterrows():
        price = float(row["FINAL"]) * decision.factor if decision.factor is not None else decision.price
        yield replace(decision, time=row["time"].to_pydatetime(), until=None, price=price, factor=None), row


def _bar_of(instrument: str, bars: pd.DataFrame, decision: PriceDecision) -> pd.Series:
    same = bars[bars["contract"] == decision.contract]
    at = same[same["time"] == pd.Timestamp(decision.time)]
    name = f"{instrument} {contract_label(decision.contract)}" if decision.contract else instrument
    if same.empty:
        raise DataError(f"{name}: it has no prices, stored or new; see `tradeflow prices check`")
    if at.empty:
        nearest = same["time"].iloc[int((same["time"] - pd.Timestamp(decision.time)).abs().to_numpy().argmin())]
        raise DataError(
            f"{name}: no price at {decision.time:%Y-%m-%dT%H:%M:%S} UTC; the nearest is at {nearest:%Y-%m-%dT%H:%M:%S} UTC"
        )
    daily = at[at["frequency"] == "D"]  # of several bars at one time the daily one counts
    return (daily if len(daily) else at).iloc[0]


def _decided_price(instrument: str, row: pd.Series, decision: PriceDecision) -> float | None:
    """The price that counts after the decision; None for a rejected one."""
    if decision.verdict == "reject":
        return None
    if decision.verdict == "accept":
        return float(row["FINAL"])
    if decision.price is None or not np.isfinite(decision.price):
        raise DataError(f"{instrument}: a replacement price must be a number, not {decision.price}")
    return float(decision.price)


def _check_replacements(
    desk: Desk, instrument: str, bars: pd.DataFrame, *, decisions: Sequence[PriceDecision], prices: Sequence[float | None]
) -> None:
    """Raise DataError if a replacement is a suspected spike itself, with all decisions applied."""
    if not any(decision.verdict == "replace" for decision in decisions):
        return
    new_marks = pd.DataFrame(
        {
            "contract": [decision.contract for decision in decisions],
            "time": pd.to_datetime([decision.time for decision in decisions], utc=True).astype("datetime64[us, UTC]"),
            "price": pd.array([np.nan if price is None else price for price in prices], dtype="float64"),
            "source": MANUAL,
        }
    )
    marks = pd.concat([_marks(desk, instrument, bars), new_marks], ignore_index=True).drop_duplicates(
        ["contract", "time"], keep="last"
    )
    replaced = {(decision.contract, pd.Timestamp(decision.time)) for decision in decisions if decision.verdict == "replace"}
    corrected = apply_marks(bars[bars["contract"].isin({contract for contract, _ in replaced})], marks)
    for (contract, _), group in corrected.groupby(["contract", "frequency"], sort=True):
        rows = group.sort_values("end", kind="stable")
        units = spike_units(pd.Series(rows["FINAL"].to_numpy(), index=pd.DatetimeIndex(rows["end"])))
        spike_times = rows["time"].iloc[1:][units.to_numpy() > desk.settings.prices.max_price_spike]
        for time in spike_times:
            if (int(str(contract)), time) in replaced:
                size = float(units.to_numpy()[np.flatnonzero(rows["time"].iloc[1:] == time)[0]])
                raise DataError(
                    f"{instrument}: the price that replaces the one of {time:%Y-%m-%d %H:%M} UTC moves {size:.1f} average days itself; "
                    "give another, or confirm it with --yes"
                )
