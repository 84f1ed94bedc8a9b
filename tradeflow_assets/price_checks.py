"""Checks of the prices. Each looks at the whole universe in the store: a check has one status an asset, not one a partition, and a run
over one good instrument must not turn another's failure green."""

from collections.abc import Callable, Iterator
from datetime import time, timedelta

import dagster as dg
import pandas as pd

from tradeflow_assets.metadata import bullets, table
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.ledger import contract_facts, current_rolls, instruments_locked_by, locked_instruments
from tradeflow_core.model import LockOwner, contract_label
from tradeflow_core.prices import HISTORY_CHANGES, bar_ends
from tradeflow_core.reports import freshness, store_problems
from tradeflow_core.series import rolls_not_into_forward

GAP_WINDOW_DAYS = 60
MAX_MISSING_DAYS = 4
"""As many holidays as may fall into the window where an exchange's calendar is not known."""


def refused_prices(desk: Desk) -> dg.AssetCheckResult:
    """No instrument is locked because its prices were refused: a jump beyond belief, unusable bars, a failed download."""
    with desk.ledger.read() as view:
        locked, refused = locked_instruments(view), instruments_locked_by(view, LockOwner.PRICES)
    bad = pd.DataFrame([(code, locked[code]) for code in refused if code in desk.universe], columns=["instrument", "why"])
    return dg.AssetCheckResult(passed=bad.empty, metadata={"n_refused": len(bad), "refused": table(bad)})


def stale_prices(desk: Desk) -> dg.AssetCheckResult:
    """The newest price of every instrument is recent enough by the clock of this home."""
    frame, allowed = freshness(desk), desk.settings.prices.stale_after_business_days
    late = frame[frame["age"].isna() | (frame["age"].astype("float64") > allowed)]
    shown = late.assign(last_time=late["last_time"].astype(str))[["instrument", "last_time", "age"]]
    return dg.AssetCheckResult(
        passed=late.empty, metadata={"n_stale": len(late), "allowed_business_days": allowed, "stale": table(shown)}
    )


def disordered_series(desk: Desk) -> dg.AssetCheckResult:
    """Every stored series can be read, is in order of time, holds no time twice and does not reach into the future."""
    problems = store_problems(desk)
    return dg.AssetCheckResult(passed=not problems, metadata={"n_problems": len(problems), "problems": bullets(problems[:20])})


def strange_rolls(desk: Desk) -> dg.AssetCheckResult:
    """At every roll the next priced contract is the one that was forward before; otherwise the spread added is that of another contract."""
    problems = []
    for code in desk.store.names("multiple_prices"):
        found = rolls_not_into_forward(desk.store.read("multiple_prices", code, ["PRICE_CONTRACT", "FORWARD_CONTRACT"]))
        problems += [
            f"{code}, {when:%Y-%m-%d}: forward was {row['expected']}, rolled into {row['rolled_into']}"
            for when, row in found.iterrows()
        ]
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_problems": len(problems), "problems": bullets(problems[:20])},
    )


def changed_history(desk: Desk) -> dg.AssetCheckResult:
    """No rebuild of today has changed prices of the past: a bar that came late, a person's correction or another roll rule does."""
    today = pd.Timestamp(desk.home.at(desk.today(), time()))
    parts = []
    for code in desk.store.names(HISTORY_CHANGES):
        changes = desk.store.read(HISTORY_CHANGES, code)
        parts.append(changes[changes["recorded_at"] >= today].assign(instrument=code))
    columns = ["instrument", "changed", "came_late", "gone", "first"]
    found = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    return dg.AssetCheckResult(
        passed=found.empty, severity=dg.AssetCheckSeverity.WARN, metadata={"n_rebuilds": len(found), "changes": table(found)}
    )


def gaps(desk: Desk) -> dg.AssetCheckResult:
    """The series of every priced contract has a price on nearly every business day of the last 60 days."""
    with desk.ledger.read() as view:
        rolls = {code: roll for code, roll in current_rolls(view).items() if code in desk.universe}
    missing = {code: missing_days(desk, code, roll.price_contract) for code, roll in rolls.items()}
    bad = pd.DataFrame(
        [
            (code, contract_label(rolls[code].price_contract), len(days), ", ".join(f"{day:%m-%d}" for day in days))
            for code, days in missing.items()
            if len(days) > MAX_MISSING_DAYS
        ],
        columns=["instrument", "contract", "missing", "days"],
    )
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"n_instruments": len(bad), "allowed_days": MAX_MISSING_DAYS, "gaps": table(bad)},
    )


def missing_days(desk: Desk, code: str, contract: int) -> pd.DatetimeIndex:
    """Business days of the last 60 days, up to yesterday and from the contract's first price on, without a price of it (naive midnights)."""
    yesterday = desk.today() - timedelta(days=1)
    session = desk.instrument(code).session
    zone = desk.home.sessions.session_of(session).zone if session else desk.settings.zone
    # A bar that ends at midnight is of the day before.
    last_moments = bar_ends(desk, code, contract) - pd.Timedelta(seconds=1)
    known = last_moments.tz_convert(zone).tz_localize(None).normalize()
    first = yesterday - timedelta(days=GAP_WINDOW_DAYS - 1)
    if len(known):
        first = max(first, known.min().date())
    try:
        expected = desk.home.sessions.trading_days(code, first, yesterday)
    except (ConfigError, DataError):  # hours or holidays are not known: every weekday counts
        expected = pd.bdate_range(first, yesterday)
    return expected[~expected.isin(known)]


def expired_key_contracts(desk: Desk) -> dg.AssetCheckResult:
    """No priced, forward or carry contract is past its expiry; a priced one that is has to be rolled before anything is traded."""
    found = []
    with desk.ledger.read() as view:
        for code, roll in current_rolls(view).items():
            if code not in desk.universe:
                continue
            rule, known = desk.instrument(code).roll_rule, contract_facts(view, code)
            contracts = {"priced": roll.price_contract, "forward": roll.forward_contract, "carry": roll.carry_contract}
            for role, contract in contracts.items():
                expiry = known[contract][0] if contract in known else rule.approximate_expiry(contract) if rule else None
                if expiry is not None and expiry < desk.today():
                    found.append((code, role, contract_label(contract), expiry.isoformat()))
    expired = pd.DataFrame(found, columns=["instrument", "role", "contract", "expiry"])
    priced = (expired["role"] == "priced").any()
    return dg.AssetCheckResult(
        passed=expired.empty,
        severity=dg.AssetCheckSeverity.ERROR if priced else dg.AssetCheckSeverity.WARN,
        metadata={"n_expired": len(expired), "expired": table(expired)},
    )


_RULES: list[tuple[str, str, Callable[[Desk], dg.AssetCheckResult]]] = [
    ("contract_prices", "no_prices_refused", refused_prices),
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
