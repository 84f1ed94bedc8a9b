"""Checks of the prices. Each looks at the stored prices of the whole universe: a check has one status for an asset, not one for each
partition, so a run over one good instrument must not hide the failure of another."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import time, timedelta

import dagster as dg
import pandas as pd

from tradeflow_assets.metadata import bullets, table
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.ledger import contract_facts, current_rolls, instruments_locked_by, locked_instruments
from tradeflow_core.model import LockOwner, contract_label
from tradeflow_core.parquet import DamagedFile
from tradeflow_core.prices import HISTORY_CHANGES, bar_ends, recent_doubts
from tradeflow_core.reports import freshness, store_problems
from tradeflow_core.series import rolls_not_into_forward

GAP_WINDOW_DAYS = 60
DOUBT_DAYS = 30
MAX_MISSING_DAYS = 4
"""Where an exchange's calendar is not known, holidays count as missing; this many may fall into the window."""


def refused_prices(desk: Desk) -> dg.AssetCheckResult:
    """No instrument is locked because its prices were refused: an implausible jump, unusable bars, a failed download."""
    with desk.ledger.read() as view:
        locked, refused = locked_instruments(view), instruments_locked_by(view, LockOwner.PRICES)
    bad = pd.DataFrame(
        [(instrument, locked[instrument]) for instrument in refused if instrument in desk.universe], columns=["instrument", "why"]
    )
    return dg.AssetCheckResult(passed=bad.empty, metadata={"n_refused": len(bad), "refused": table(bad)})


def doubtful_bars(desk: Desk) -> dg.AssetCheckResult:
    """No recent bar is odd: a close that repeats while other contracts move, volume that falls to nothing, prices of a bar in disorder."""
    rows = []
    for instrument in desk.universe:
        with suppress(DamagedFile):
            rows += [
                (instrument, contract_label(doubt.contract), f"{doubt.last:%Y-%m-%d}", doubt.kind, doubt.detail)
                for doubt in recent_doubts(desk, instrument, days=DOUBT_DAYS)
            ]
    found = pd.DataFrame(rows, columns=["instrument", "contract", "last", "kind", "detail"])
    return dg.AssetCheckResult(
        passed=found.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_doubts": len(found), "doubts": table(found), "remedy": "tradeflow prices check INSTRUMENT"},
    )


def stale_prices(desk: Desk) -> dg.AssetCheckResult:
    """The newest price of every instrument is recent enough by the clock of this home."""
    frame, allowed = freshness(desk), desk.settings.prices.stale_after_business_days
    late = frame[frame["age"].isna() | (frame["age"].astype("float64") > allowed)]
    shown = late.assign(last_time=late["last_time"].astype(str))[["instrument", "last_time", "age"]]
    return dg.AssetCheckResult(
        passed=late.empty, metadata={"n_stale": len(late), "allowed_business_days": allowed, "stale": table(shown)}
    )


def disordered_series(desk: Desk) -> dg.AssetCheckResult:
    """Every stored series can be read, is in order of time, holds no time twice and does not end in the future."""
    problems = store_problems(desk)
    return dg.AssetCheckResult(passed=not problems, metadata={"n_problems": len(problems), "problems": bullets(problems[:20])})


def strange_rolls(desk: Desk) -> dg.AssetCheckResult:
    """At every roll the next priced contract is the one that was forward before; otherwise the wrong price difference is added."""
    problems = []
    for instrument in desk.store.names("multiple_prices"):
        try:
            contracts = desk.store.read("multiple_prices", instrument, ["PRICE_CONTRACT", "FORWARD_CONTRACT"])
        except DamagedFile:  # the check of disordered series names it
            continue
        wrong_rolls = rolls_not_into_forward(contracts)
        problems += [
            f"{instrument}, {roll_time:%Y-%m-%d}: forward was {row['expected']}, rolled into {row['rolled_into']}"
            for roll_time, row in wrong_rolls.iterrows()
        ]
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_problems": len(problems), "problems": bullets(problems[:20])},
    )


def changed_history(desk: Desk) -> dg.AssetCheckResult:
    """No rebuild of today has changed prices of the past: a late bar, a manual correction or another roll rule would."""
    today = pd.Timestamp(desk.home.at(desk.today(), time()))
    parts = []
    for instrument in desk.store.names(HISTORY_CHANGES):
        try:
            changes = desk.store.read(HISTORY_CHANGES, instrument)
        except DamagedFile:
            continue
        parts.append(changes[changes["recorded_at"] >= today].assign(instrument=instrument))
    columns = ["instrument", "changed", "came_late", "gone", "first"]
    rebuilds = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    return dg.AssetCheckResult(
        passed=rebuilds.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_rebuilds": len(rebuilds), "changes": table(rebuilds)},
    )


def gaps(desk: Desk) -> dg.AssetCheckResult:
    """The series of every priced contract has a price on nearly every business day of the last 60 days."""
    with desk.ledger.read() as view:
        rolls = {instrument: roll for instrument, roll in current_rolls(view).items() if instrument in desk.universe}
    missing: dict[str, pd.DatetimeIndex] = {}
    for instrument, roll in rolls.items():
        with suppress(DamagedFile):
            missing[instrument] = missing_days(desk, instrument, roll.price_contract)
    bad = pd.DataFrame(
        [
            (instrument, contract_label(rolls[instrument].price_contract), len(days), ", ".join(f"{day:%m-%d}" for day in days))
            for instrument, days in missing.items()
            if len(days) > MAX_MISSING_DAYS
        ],
        columns=["instrument", "contract", "missing", "days"],
    )
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_instruments": len(bad), "allowed_days": MAX_MISSING_DAYS, "gaps": table(bad)},
    )


def missing_days(desk: Desk, instrument: str, contract: int) -> pd.DatetimeIndex:
    """Business days of the last 60 days, up to yesterday and from the contract's first price on, without a price of it (naive midnights)."""
    yesterday = desk.today() - timedelta(days=1)
    session = desk.instrument(instrument).session
    zone = desk.home.sessions.session_of(session).zone if session else desk.settings.zone
    # A bar that ends at midnight belongs to the day before.
    first = yesterday - timedelta(days=GAP_WINDOW_DAYS - 1)
    since = desk.home.at(first - timedelta(days=2), time())
    last_seconds = bar_ends(desk, instrument, contract, since=since) - pd.Timedelta(seconds=1)
    priced_days = last_seconds.tz_convert(zone).tz_localize(None).normalize()
    if len(priced_days):
        first = max(first, priced_days.min().date())
    try:
        expected = desk.home.sessions.trading_days(instrument, first, yesterday)
    except (ConfigError, DataError):  # hours or holidays are not known: every weekday counts
        expected = pd.bdate_range(first, yesterday)
    return expected[~expected.isin(priced_days)]


def expired_key_contracts(desk: Desk) -> dg.AssetCheckResult:
    """No priced, forward or carry contract is past its expiry; a priced one that is has to be rolled before anything is traded."""
    expired_rows = []
    with desk.ledger.read() as view:
        for instrument, roll in current_rolls(view).items():
            if instrument not in desk.universe:
                continue
            rule, facts = desk.instrument(instrument).roll_rule, contract_facts(view, instrument)
            contracts = {"priced": roll.price_contract, "forward": roll.forward_contract, "carry": roll.carry_contract}
            for role, contract in contracts.items():
                expiry = facts[contract][0] if contract in facts else rule.approximate_expiry(contract) if rule else None
                if expiry is not None and expiry < desk.today():
                    expired_rows.append((instrument, role, contract_label(contract), expiry.isoformat()))
    expired = pd.DataFrame(expired_rows, columns=["instrument", "role", "contract", "expiry"])
    priced = (expired["role"] == "priced").any()
    return dg.AssetCheckResult(
        passed=expired.empty,
        severity=dg.AssetCheckSeverity.ERROR if priced else dg.AssetCheckSeverity.WARN,
        metadata={"n_expired": len(expired), "expired": table(expired)},
    )


_RULES: list[tuple[str, str, Callable[[Desk], dg.AssetCheckResult]]] = [
    ("contract_prices", "no_prices_refused", refused_prices),
    ("contract_prices", "no_odd_bars", doubtful_bars),
    ("contract_prices", "series_in_order", disordered_series),
    ("contract_prices", "gaps", gaps),
    ("multiple_prices", "rolls_into_forward", strange_rolls),
    ("multiple_prices", "history_stays", changed_history),
    ("multiple_prices", "expired_key_contracts", expired_key_contracts),
    ("adjusted_prices", "prices_are_fresh", stale_prices),
]


def _check(asset: str, name: str, rule: Callable[[Desk], dg.AssetCheckResult]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, description=rule.__doc__)
    def check(desk: dg.ResourceParam[Desk]) -> dg.AssetCheckResult:
        return rule(desk)

    return check


CHECKS = [_check(*rule) for rule in _RULES]


def evaluate_all(desk: Desk) -> Iterator[dg.AssetCheckEvaluation]:
    """Every check of the prices, evaluated now, as events to be logged by the run that made them."""
    for asset, name, rule in _RULES:
        result = rule(desk)
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=name,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
        )
