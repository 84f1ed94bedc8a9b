"""Made-up markets for tests: random prices, one roll a quarter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.instruments import Costs, Instrument, RollRule
from tradeflow_core.strategy import BacktestData

QUARTERLY = RollRule(hold="HMUZ", priced="HMUZ", roll_offset=-5, carry_offset=1, expiry_offset=15)


def instrument(code: str, currency: str = "USD", point_size: float = 50.0) -> Instrument:
    """A market with a spread and a commission."""
    costs = Costs(spread_cost=0.02, per_block=2.0)
    return Instrument(code, f"market {code}", "Index", "US", currency, point_size, costs, QUARTERLY)


def multiple_prices(seed: int, days: int, start: str = "2010-01-04") -> pd.DataFrame:
    """Daily prices of priced, forward and carry contracts, 1 to 2 points apart, stamped at 23:00."""
    random = np.random.default_rng(seed)
    index = pd.bdate_range(start, periods=days) + pd.Timedelta(hours=23)
    price = 200.0 + np.cumsum(random.normal(0.01, 1.0, days))
    priced = index.year * 4 + (index.month - 1) // 3
    ids = [[(number // 4) * 10_000 + (number % 4 * 3 + 3) * 100 for number in priced + ahead] for ahead in (0, 1)]
    spread = 1.0 + 0.3 * np.cumsum(random.normal(0, 0.05, days))
    return pd.DataFrame(
        {
            "PRICE": price,
            "CARRY": price + spread,
            "FORWARD": price + spread,
            "PRICE_CONTRACT": ids[0],
            "CARRY_CONTRACT": ids[1],
            "FORWARD_CONTRACT": ids[1],
        },
        index=index,
    )


def market(codes: str = "ABC", days: int = 700, currency: str = "USD") -> BacktestData:
    """Data of one market per letter, and euros at about 1.1 dollars."""
    tables = {code: multiple_prices(place, days) for place, code in enumerate(codes)}
    return BacktestData.from_frames(tables, {"EURUSD": euros(days)}, {code: instrument(code, currency) for code in codes})


def euros(days: int) -> pd.Series:
    """Dollars for a euro."""
    index = pd.bdate_range("2010-01-04", periods=days)
    return pd.Series(1.1 + 0.001 * np.cumsum(np.random.default_rng(99).normal(0, 1, days)), index=index)


def up_to(data: BacktestData, days: int) -> BacktestData:
    """The same data as it was after that many days."""
    tables = {code: table.iloc[:days] for code, table in data.multiple_prices.items()}
    return BacktestData.from_frames(tables, {pair: rate.iloc[:days] for pair, rate in data.fx.items()}, data.instruments)


def write_csv_folder(folder: Path, data: BacktestData) -> Path:
    """The same data as CSV files in pysystemtrade's layout."""
    for name in ("csvconfig", "fx_prices_csv", "multiple_prices_csv", "adjusted_prices_csv"):
        (folder / name).mkdir(parents=True)
    for code, table in data.multiple_prices.items():
        table.rename_axis("DATETIME").to_csv(folder / "multiple_prices_csv" / f"{code}.csv")
        data.adjusted_prices[code].rename_axis("DATETIME").rename("price").to_csv(folder / "adjusted_prices_csv" / f"{code}.csv")
    for pair, rate in data.fx.items():
        rate.rename_axis("DATETIME").rename("PRICE").to_csv(folder / "fx_prices_csv" / f"{pair}.csv")
    facts = [data.instruments[code] for code in data.multiple_prices]
    index = pd.Index(list(data.multiple_prices), name="Instrument")
    tables: dict[str, dict[str, list[Any]]] = {
        "instrumentconfig": {
            "Description": [one.description for one in facts],
            "Pointsize": [one.point_size for one in facts],
            "Currency": [one.currency for one in facts],
            "AssetClass": [one.asset_class for one in facts],
            "PerBlock": [one.costs.per_block for one in facts],
            "Percentage": [one.costs.percentage for one in facts],
            "PerTrade": [one.costs.per_trade for one in facts],
            "Region": [one.region for one in facts],
        },
        "spreadcosts": {"SpreadCost": [one.costs.spread_cost for one in facts]},
        "rollconfig": {
            "HoldRollCycle": [QUARTERLY.hold for _ in facts],
            "RollOffsetDays": [QUARTERLY.roll_offset for _ in facts],
            "CarryOffset": [QUARTERLY.carry_offset for _ in facts],
            "PricedRollCycle": [QUARTERLY.priced for _ in facts],
            "ExpiryOffset": [QUARTERLY.expiry_offset for _ in facts],
        },
    }
    for name, columns in tables.items():
        pd.DataFrame(columns, index=index).to_csv(folder / "csvconfig" / f"{name}.csv")
    return folder
