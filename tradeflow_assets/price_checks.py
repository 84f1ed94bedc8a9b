"""Checks of the prices. Each looks at the whole universe in the store: a check has one status an asset, not one a partition, and a run
over one good instrument must not turn another's failure green."""

from collections.abc import Callable, Iterator

import dagster as dg
import pandas as pd

from tradeflow_assets.metadata import bullets, table
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import locked_instruments
from tradeflow_core.prices import LOCK_OWNER, rolls_not_into_forward
from tradeflow_core.reports import freshness, store_problems


def refused_prices(desk: Desk) -> dg.AssetCheckResult:
    """No instrument is locked because its prices were refused: a jump beyond belief, unusable bars, a failed download."""
    with desk.ledger.read() as view:
        locked = locked_instruments(view)
    bad = pd.DataFrame(
        [(code, why) for code, why in locked.items() if f"{LOCK_OWNER}: " in why and code in desk.universe],
        columns=["instrument", "why"],
    )
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


_RULES: list[tuple[str, str, Callable[[Desk], dg.AssetCheckResult]]] = [
    ("contract_prices", "no_prices_refused", refused_prices),
    ("contract_prices", "series_in_order", disordered_series),
    ("multiple_prices", "rolls_into_forward", strange_rolls),
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
