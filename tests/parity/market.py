"""The simulated market that the reference was asked about: its prices as a folder of CSV files, and backtests on them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.parity.proof import path_of
from tradeflow_core.instruments.tables import INSTRUMENT_COLUMNS, ROLL_COLUMNS
from tradeflow_core.strategy import Backtest, BacktestData, load_strategy, run_backtest

CONFIGURATIONS = ("static", "static_sr_costs", "estimated_handcraft", "estimated_shrinkage", "broad", "variants", "dynamic")
INPUT = ("market/input/multiple_prices", "market/input/fx_prices", "market/input/instruments")

_TABLES = {
    "instrumentconfig": list(INSTRUMENT_COLUMNS),
    "rollconfig": list(ROLL_COLUMNS),
    "spreadcosts": ["Instrument", "SpreadCost"],
}


class Market:
    """The market's prices in pysystemtrade's folder layout, and the backtest of each configuration, run once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_csv_folder(folder)
        self.data = BacktestData.from_pysystemtrade(folder)
        self._backtests: dict[str, Backtest] = {}

    def backtest(self, configuration: str) -> Backtest:
        """The backtest of one of `CONFIGURATIONS`."""
        if configuration not in self._backtests:
            strategy = load_strategy(path_of(f"market/configs/{configuration}"))
            self._backtests[configuration] = run_backtest(strategy, self.data)
        return self._backtests[configuration]


def write_csv_folder(target: Path) -> None:
    """Write csvconfig, multiple_prices_csv, adjusted_prices_csv and fx_prices_csv under `target`."""
    multiple, fx, facts = (pd.read_parquet(path_of(file)) for file in INPUT)
    adjusted = pd.read_parquet(path_of("market/prices/adjusted"))
    (target / "csvconfig").mkdir(parents=True)
    for name, columns in _TABLES.items():
        facts[columns].to_csv(target / "csvconfig" / f"{name}.csv", index=False)
    _write(target / "multiple_prices_csv", multiple, "instrument")
    _write(target / "adjusted_prices_csv", adjusted, "instrument")
    _write(target / "fx_prices_csv", fx.rename(columns={"price": "PRICE"}), "pair")


def _write(folder: Path, table: pd.DataFrame, key: str) -> None:
    folder.mkdir()
    for code, rows in table.groupby(key):
        rows.drop(columns=key).set_index("date").to_csv(
            folder / f"{code}.csv", index_label="DATETIME", date_format="%Y-%m-%d %H:%M:%S"
        )
