"""The chain of one instrument: sampled contracts, contract prices, multiple prices, adjusted prices.

An instrument that fails keeps its last good files and is locked against new risk (owner `prices`) until a run of it succeeds. The
others are not affected.
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
    LedgerTrouble,
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
from tradeflow_core.prices.history import record_history_change
from tradeflow_core.prices.sampling import update_sampled_contracts
from tradeflow_core.prices.seed import seed_instrument
from tradeflow_core.series import back_adjust, build_from_events, contracts_without_prices, roll_gaps

STAGES = ("sampled_contracts", "contract_prices", "multiple_prices", "adjusted_prices")


class StalePrices(DataError):
    """The newest price is older than the settings allow."""


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """What to fetch: normally only new bars; with `full_refresh` all bars from `start` to `end` (default: the whole history)."""

    start: datetime | None = None
    end: datetime | None = None
    full_refresh: bool = False


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of one stage of one instrument. `facts`: what to show about it, by name; `values`: the newest prices, for a small chart."""

    stage: str
    instrument: str
    rows: int
    facts: dict[str, str | int | float] = field(default_factory=dict)
    values: np.ndarray | None = None


@dataclass
class PriceOutcome:
    """The outcome of one instrument: the results of its stages, and the error if one failed."""

    instrument: str
    results: list[StageResult] = field(default_factory=list)
    error: str = ""


OnStage = Callable[[StageResult], None]
"""Called with the result of each stage of an instrument as soon as it is there."""


def update_instrument(
    desk: Desk,
    instrument: str,
    stages: Sequence[str] = STAGES,
    *,
    window: PriceWindow = PriceWindow(),
    on_stage: OnStage | None = None,
) -> PriceOutcome:
    """Run the stages of one instrument in order. If one fails, the instrument is locked, an alert is sent, and the outcome has the error."""
    outcome = PriceOutcome(instrument)

    def add_result(result: StageResult) -> None:
        outcome.results.append(result)
        if on_stage:
            on_stage(result)

    try:
        run_stages(desk, instrument, stages, window=window, on_stage=add_result)
    except LedgerTrouble:
        raise
    except TradeflowError as error:
        outcome.error = str(error)
        desk.alerts.send(f"prices of {instrument}", outcome.error, desk.now())
    return outcome


def run_stages(
    desk: Desk,
    instrument: str,
    stages: Sequence[str] = STAGES,
    *,
    window: PriceWindow = PriceWindow(),
    on_stage: OnStage = lambda _: None,
) -> None:
    """Run the stages of one instrument in order, and call `on_stage` with the result of each.

    Raises TradeflowError, after locking the instrument, at the first stage that fails; the files of the failed and of later stages stay as
    they were. When all succeed the lock is lifted, but not by a run without download: refused bars may still be wrong.
    """
    try:
        if "sampled_contracts" in stages or "contract_prices" in stages:
            seed_instrument(desk, instrument)
            sampled = update_sampled_contracts(desk, instrument)
            if "sampled_contracts" in stages:
                on_stage(_sampled(instrument, sampled))
        closes = prices = None  # passed on to the next stage, so that it need not read the file again
        if "contract_prices" in stages:
            closes, result = _collect(desk, instrument, sampled, window=window)
            on_stage(result)
        if "multiple_prices" in stages:
            prices, result = _multiple(desk, instrument, closes)
            on_stage(result)
        if "adjusted_prices" in stages:
            on_stage(_adjusted(desk, instrument, desk.store.read("multiple_prices", instrument) if prices is None else prices))
    except LedgerTrouble:  # it is not about this instrument
        raise
    except TradeflowError as error:
        with desk.ledger.begin() as tx:
            lock_instrument(tx, instrument, LockOwner.PRICES, now=desk.now(), why=str(error))
        raise
    if set(stages) >= set(STAGES[1:]):
        with desk.ledger.read() as view:
            locked = instrument in instruments_locked_by(view, LockOwner.PRICES)
        if locked:
            with desk.ledger.begin() as tx:
                unlock_instrument(tx, instrument, LockOwner.PRICES, now=desk.now(), why="its prices are good again")


def price_summary(outcomes: Sequence[PriceOutcome]) -> str:
    """One line: number of good instruments, bars added, instruments that failed."""
    added = sum(
        int(result.facts["added"]) for outcome in outcomes for result in outcome.results if result.stage == "contract_prices"
    )
    failed = [outcome.instrument for outcome in outcomes if outcome.error]
    text = f"{len(outcomes) - len(failed)} of {len(outcomes)} instruments good, {added:,} new bars"
    return text + (f"; failed and locked: {', '.join(failed)}" if failed else "")


def _sampled(instrument: str, sampled: list[int]) -> StageResult:
    return StageResult(
        "sampled_contracts", instrument, len(sampled), {"contracts": ", ".join(contract_label(contract) for contract in sampled)}
    )


def _collect(desk: Desk, instrument: str, sampled: Sequence[int], *, window: PriceWindow) -> tuple[Sequence[Closes], StageResult]:
    """Download new bars; returns the closes of all bars that are stored now, in parts, and the result of the stage."""
    contracts = list(sampled)
    if window.full_refresh:
        with desk.ledger.read() as view:
            contracts = list(contract_facts(view, instrument))
    report = collect_bars(desk, instrument, contracts, full_refresh=window.full_refresh, start=window.start, end=window.end)
    if report.refused:
        raise PriceSpike(
            f"{instrument}: {'; '.join(report.refused.values())}; these bars were not stored: check with `tradeflow prices check {instrument}`"
        )
    facts: dict[str, str | int | float] = {"added": sum(report.added.values())}
    facts |= {f"added_{frequency}": added for frequency, added in report.added.items()}
    if report.without_data:
        facts["without_data"] = ", ".join(contract_label(contract) for contract in sorted(set(report.without_data)))
    if report.dropped:
        facts["dropped"] = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items())
    if rows := sum(len(part.end) for part in report.stored):
        last = pd.Timestamp(max(part.end.max(initial=0) for part in report.stored), unit="us", tz="UTC")
        facts["last_bar"] = f"{last:%Y-%m-%d %H:%M} UTC"
    return report.stored, StageResult(DATASET, instrument, rows, facts)


def _multiple(desk: Desk, instrument: str, closes: Sequence[Closes] | None) -> tuple[pd.DataFrame, StageResult]:
    with desk.ledger.read() as view:
        events, marks = roll_events_of(view, instrument), marks_of(view, instrument)
    if not len(events):
        raise DataError(f"{instrument}: no roll event is recorded; run the asset sampled_contracts first")
    table = contract_table(closes if closes is not None else stored_closes(desk, instrument), marks)
    prices = build_from_events(table, events)
    change, note = record_history_change(desk, instrument, prices)
    desk.store.write("multiple_prices", instrument, prices, note=note)
    facts: dict[str, str | int | float] = {
        "priced": contract_label(int(events["price_contract"].iloc[-1])),
        "forward": contract_label(int(events["forward_contract"].iloc[-1])),
        "rolls": len(events) - 1,
    }
    if change is not None:
        facts["history"] = str(change)
    if not table.places.keys() >= {*events["forward_contract"].tolist()[:-1], *events["carry_contract"].tolist()[:-1]}:
        missing = contracts_without_prices(table, events)
        columns_and_contracts = zip(missing["column"], missing["contract"].tolist(), strict=True)
        facts["without_prices"] = ", ".join(f"{column} {contract_label(contract)}" for column, contract in columns_and_contracts)
    return prices, StageResult("multiple_prices", instrument, len(prices), facts)


def _adjusted(desk: Desk, instrument: str, multiple: pd.DataFrame) -> StageResult:
    try:
        adjusted = back_adjust(multiple, method=desk.settings.prices.stitching)
    except DataError as error:
        if gaps := roll_gaps(multiple):
            raise DataError(
                f"{instrument}: {'; '.join(map(str, gaps))} (UTC); `tradeflow roll mend {instrument} --dry-run` shows what it would be"
            ) from error
        raise
    priced_rows = np.flatnonzero(adjusted.notna().to_numpy())
    if not len(priced_rows):
        raise DataError(f"{instrument}: its adjusted series has no price; check its contract prices")
    desk.store.write("adjusted_prices", instrument, adjusted.to_frame())
    last = adjusted.index[priced_rows[-1]]
    age = business_days_between(desk.home.local_day(last.to_pydatetime()), desk.today())
    if age > desk.settings.prices.stale_after_business_days:
        raise StalePrices(
            f"{instrument}: its newest price is of {last:%Y-%m-%d %H:%M} UTC, {age} business days ago; check the market and the download"
        )
    facts: dict[str, str | int | float] = {
        "last_price": float(adjusted.iloc[priced_rows[-1]]),
        "last_time": f"{last:%Y-%m-%d %H:%M} UTC",
    }
    return StageResult("adjusted_prices", instrument, len(adjusted), facts, adjusted.to_numpy()[priced_rows[-500:]])


def adjusted_prices(desk: Desk, instrument: str) -> pd.Series:
    """The stored adjusted prices of an instrument by instant (UTC)."""
    return desk.store.read("adjusted_prices", instrument)["price"]
