"""The chain of one instrument: sampled contracts, contract prices, multiple prices, adjusted prices.

An instrument that fails keeps its last good files, is locked against new risk (owner `prices`) until it is good again, and never
stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, TradeflowError
from tradeflow_core.home import business_days_between
from tradeflow_core.ledger import (
    contract_facts,
    instruments_locked_by,
    lock_instrument,
    marks_of,
    roll_events_of,
    unlock_instrument,
)
from tradeflow_core.model import LockOwner, contract_label
from tradeflow_core.prices.bar_store import DATASET, Closes, contract_table, stored_closes
from tradeflow_core.prices.collect import PriceSpike, collect_bars
from tradeflow_core.prices.history import note_history
from tradeflow_core.prices.sampling import update_sampled_contracts
from tradeflow_core.prices.seed import seed_instrument
from tradeflow_core.series import back_adjust, build_from_events, contracts_without_prices

STAGES = ("sampled_contracts", "contract_prices", "multiple_prices", "adjusted_prices")


class StalePrices(DataError):
    """The newest price is older than the settings allow."""


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """What to fetch: normally what is new; `full_refresh` everything from `start` to `end` (default: all there is)."""

    start: datetime | None = None
    end: datetime | None = None
    full_refresh: bool = False


@dataclass(frozen=True, slots=True)
class StageResult:
    """What one stage made of one instrument; `facts` are for people, `values` draw a small picture."""

    stage: str
    instrument: str
    rows: int
    facts: dict[str, str | int | float] = field(default_factory=dict)
    values: np.ndarray | None = None


@dataclass
class PriceOutcome:
    """What became of one instrument: what its stages made, and why it failed if it did."""

    instrument: str
    results: list[StageResult] = field(default_factory=list)
    error: str = ""


OnStage = Callable[[StageResult], None]
"""Hears of each stage of an instrument as it is made."""


def update_instrument(
    desk: Desk,
    code: str,
    stages: Sequence[str] = STAGES,
    *,
    window: PriceWindow = PriceWindow(),
    on_stage: OnStage | None = None,
) -> PriceOutcome:
    """Run the stages of one instrument in order; one that fails is locked and alerted, and its outcome says why."""
    outcome = PriceOutcome(code)

    def note(result: StageResult) -> None:
        outcome.results.append(result)
        if on_stage:
            on_stage(result)

    try:
        run_stages(desk, code, stages, window=window, on_stage=note)
    except TradeflowError as error:
        outcome.error = str(error)
        desk.alerts.send(f"prices of {code}", outcome.error, desk.now())
    return outcome


def run_stages(
    desk: Desk,
    code: str,
    stages: Sequence[str] = STAGES,
    *,
    window: PriceWindow = PriceWindow(),
    on_stage: OnStage = lambda _: None,
) -> None:
    """Run the stages of one instrument in order, and tell `on_stage` of each when it is made.

    Raises TradeflowError, after locking the instrument, at the first stage that fails; the files of the failed and of later stages stay as
    they were. When all goes well the lock is lifted; a run that downloads nothing proves nothing about refused bars and leaves it.
    """
    try:
        if "sampled_contracts" in stages or "contract_prices" in stages:
            seed_instrument(desk, code)
            sampled = update_sampled_contracts(desk, code)
            if "sampled_contracts" in stages:
                on_stage(_sampled(code, sampled))
        closes = prices = None  # what a stage has made goes on to the next one without another reading
        if "contract_prices" in stages:
            closes, result = _collect(desk, code, sampled, window=window)
            on_stage(result)
        if "multiple_prices" in stages:
            prices, result = _multiple(desk, code, closes)
            on_stage(result)
        if "adjusted_prices" in stages:
            on_stage(_adjusted(desk, code, desk.store.read("multiple_prices", code) if prices is None else prices))
    except TradeflowError as error:
        with desk.ledger.begin() as tx:
            lock_instrument(tx, code, LockOwner.PRICES, desk.now(), str(error))
        raise
    if set(stages) >= set(STAGES[1:]):
        with desk.ledger.read() as view:
            locked = code in instruments_locked_by(view, LockOwner.PRICES)
        if locked:
            with desk.ledger.begin() as tx:
                unlock_instrument(tx, code, LockOwner.PRICES)


def price_summary(outcomes: Sequence[PriceOutcome]) -> str:
    """One line: instruments that are good, bars added, instruments that failed."""
    added = sum(
        int(result.facts["added"])
        for outcome in outcomes
        for result in outcome.results
        if result.stage == "contract_prices"
    )
    failed = [outcome.instrument for outcome in outcomes if outcome.error]
    text = f"{len(outcomes) - len(failed)} of {len(outcomes)} instruments good, {added:,} new bars"
    return text + (f"; failed and locked: {', '.join(failed)}" if failed else "")


def _sampled(code: str, sampled: list[int]) -> StageResult:
    return StageResult(
        "sampled_contracts", code, len(sampled), {"contracts": ", ".join(contract_label(contract) for contract in sampled)}
    )


def _collect(desk: Desk, code: str, sampled: Sequence[int], *, window: PriceWindow) -> tuple[Sequence[Closes], StageResult]:
    """Returns the closes of all bars that are stored now, in parts."""
    contracts = list(sampled)
    if window.full_refresh:
        with desk.ledger.read() as view:
            contracts = list(contract_facts(view, code))
    report = collect_bars(desk, code, contracts, full_refresh=window.full_refresh, start=window.start, end=window.end)
    if report.refused:
        raise PriceSpike(
            f"{code}: {'; '.join(report.refused)}; nothing of it was stored: check with `tradeflow prices check {code}`"
        )
    facts: dict[str, str | int | float] = {"added": sum(report.added.values())}
    facts |= {f"added_{frequency}": added for frequency, added in report.added.items()}
    if report.without_data:
        facts["without_data"] = ", ".join(contract_label(contract) for contract in sorted(set(report.without_data)))
    if report.dropped:
        facts["dropped"] = ", ".join(f"{count} {what}" for what, count in report.dropped.items())
    if rows := sum(len(part.end) for part in report.stored):
        last = pd.Timestamp(max(part.end.max(initial=0) for part in report.stored), unit="us", tz="UTC")
        facts["last_bar"] = f"{last:%Y-%m-%d %H:%M} UTC"
    return report.stored, StageResult(DATASET, code, rows, facts)


def _multiple(desk: Desk, code: str, closes: Sequence[Closes] | None) -> tuple[pd.DataFrame, StageResult]:
    with desk.ledger.read() as view:
        events, marks = roll_events_of(view, code), marks_of(view, code)
    if not len(events):
        raise DataError(f"{code}: no roll event is recorded; run the asset sampled_contracts first")
    table = contract_table(closes if closes is not None else stored_closes(desk, code), marks)
    prices = build_from_events(table, events)
    changed, note = note_history(desk, code, prices)
    desk.store.write("multiple_prices", code, prices, note)
    facts: dict[str, str | int | float] = {
        "priced": contract_label(int(events["price_contract"].iloc[-1])),
        "forward": contract_label(int(events["forward_contract"].iloc[-1])),
        "rolls": len(events) - 1,
    }
    if changed is not None:
        facts["history"] = str(changed)
    if not table.places.keys() >= {*events["forward_contract"].tolist()[:-1], *events["carry_contract"].tolist()[:-1]}:
        lacking = contracts_without_prices(table, events)
        columns_and_contracts = zip(lacking["column"], lacking["contract"].tolist(), strict=True)
        facts["without_prices"] = ", ".join(f"{column} {contract_label(contract)}" for column, contract in columns_and_contracts)
    return prices, StageResult("multiple_prices", code, len(prices), facts)


def _adjusted(desk: Desk, code: str, multiple: pd.DataFrame) -> StageResult:
    adjusted = back_adjust(multiple, method=desk.settings.prices.stitching)
    known = np.flatnonzero(adjusted.notna().to_numpy())
    if not len(known):
        raise DataError(f"{code}: not one price in its adjusted series; check its contract prices")
    desk.store.write("adjusted_prices", code, adjusted.to_frame())
    last = adjusted.index[known[-1]]
    age = business_days_between(desk.home.local_day(last.to_pydatetime()), desk.today())
    if age > desk.settings.prices.stale_after_business_days:
        raise StalePrices(
            f"{code}: its newest price is of {last:%Y-%m-%d %H:%M} UTC, {age} business days ago; check the market and the download"
        )
    facts: dict[str, str | int | float] = {"last_price": float(adjusted.iloc[known[-1]]), "last_time": f"{last:%Y-%m-%d %H:%M} UTC"}
    return StageResult("adjusted_prices", code, len(adjusted), facts, adjusted.to_numpy()[known[-500:]])


def adjusted_prices(desk: Desk, code: str) -> pd.Series:
    """The stored adjusted prices of an instrument by instant (UTC)."""
    return desk.store.read("adjusted_prices", code)["price"]
