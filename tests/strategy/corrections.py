"""The reference's figures beside those with one correction, on small markets; and a register of which test shows which correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tests.strategy.markets import market
from tradeflow_core.instruments import Instrument
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest, strategy_from_dict
from tradeflow_core.strategy.config.compat import Correction

SHOWN: dict[Correction, list[str]] = {}
Test = TypeVar("Test", bound=Callable[..., None])

PRICE_AND_VOL = ["daily_price", "daily_returns_volatility"]
TREND: dict[str, Any] = {
    "fast": {"function": "ewmac", "data": PRICE_AND_VOL, "other_args": {"Lfast": 8, "Lslow": 32}, "forecast_scalar": 5.3},
    "slow": {"function": "ewmac", "data": PRICE_AND_VOL, "other_args": {"Lfast": 32, "Lslow": 128}, "forecast_scalar": 2.65},
}
CARRY: dict[str, Any] = {"carry": {"function": "carry", "data": ["raw_carry"], "forecast_scalar": 30}}
ACCELERATION: dict[str, Any] = {"acceleration": {"function": "accel", "data": PRICE_AND_VOL, "other_args": {"Lfast": 8}}}


def shows(*corrections: str) -> Callable[[Test], Test]:
    """Marks a test that shows what these corrections change."""

    def register(test: Test) -> Test:
        for name in corrections:
            SHOWN.setdefault(Correction(name), []).append(test.__name__)
        return test

    return register


def strategy(data: BacktestData, compat: Any, **settings: Any) -> Backtest:
    """Two trend rules on all instruments of the data, unless the settings say otherwise."""
    tree = {"compat": compat, "trading_rules": TREND, "instruments": list(data.multiple_prices), **settings}
    return run_backtest(strategy_from_dict(tree), data)


def pair(correction: str, data: BacktestData, **settings: Any) -> tuple[Backtest, Backtest]:
    """The strategy as the reference has it, and with one correction."""
    return strategy(data, "pst", **settings), strategy(data, [correction], **settings)


def changed(stage: str, pair: tuple[Backtest, Backtest]) -> pd.DataFrame:
    """True where the correction changes a figure of a stage by more than rounding, or whether there is one."""
    before, after = (backtest.stage(stage) for backtest in pair)
    assert before.columns.equals(after.columns) and before.index.equals(after.index)
    same = np.isclose(before.to_numpy(float), after.to_numpy(float), rtol=1e-10, atol=1e-12, equal_nan=True)
    return pd.DataFrame(~same, index=before.index, columns=before.columns)


def without_rows(data: BacktestData, code: str, rows: slice) -> BacktestData:
    """The data without some days of an instrument; its other adjusted prices stay."""
    tables, adjusted = dict(data.multiple_prices), dict(data.adjusted_prices)
    gone = tables[code].index[rows]
    tables[code], adjusted[code] = tables[code].drop(gone), adjusted[code].drop(gone)
    return BacktestData.from_frames(tables, data.fx, data.instruments, adjusted_prices=adjusted)


def with_facts(data: BacktestData, facts: Mapping[str, Instrument]) -> BacktestData:
    """The data with other facts of some instruments."""
    return BacktestData.from_frames(data.multiple_prices, data.fx, {**data.instruments, **facts}, adjusted_prices=dict(data.adjusted_prices))


def copies(codes: str, days: int = 1100) -> BacktestData:
    """One market under several names."""
    one = market("A", days)
    tables = dict.fromkeys(codes, one.multiple_prices["A"])
    return BacktestData.from_frames(tables, one.fx, dict.fromkeys(codes, one.instruments["A"]))
