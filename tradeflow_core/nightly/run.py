"""The nightly run of a strategy: live prices, rates and capital in, optimal positions out, its state kept as Parquet and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from tradeflow_core.capital import strategy_capital
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.nightly.run_writer import prune, save_day
from tradeflow_core.nightly.saved_runs import SavedRun, open_run
from tradeflow_core.parquet import DamagedFile
from tradeflow_core.prices import lock_damaged, rates_needed, stored_fx
from tradeflow_core.strategy.backtest import Backtest, run_backtest
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.config.strategy_file import load_strategy, packaged_strategies
from tradeflow_core.strategy.inputs.data import BacktestData


@dataclass(frozen=True)
class StrategyRun:
    """What one run of a strategy made: the backtest, and the optimal positions (index instrument) as they were stored."""

    strategy: str
    backtest: Backtest
    optimal: pd.DataFrame


def strategy_config(desk: Desk, strategy: str) -> StrategyConfig:
    """The configuration of a strategy of this home, with the live capital and base currency put in."""
    return written_strategy(desk, strategy).model_copy(
        update={"notional_trading_capital": strategy_capital(desk, strategy), "base_currency": desk.settings.base_currency}
    )


def written_strategy(desk: Desk, strategy: str) -> StrategyConfig:
    """The configuration of a strategy of this home as its file says. Raises ConfigError naming the file where it is wrong."""
    settings = desk.settings.strategies.get(strategy)
    if settings is None:
        raise ConfigError(f"no strategy {strategy!r} in this home; it has {', '.join(desk.settings.strategies)}")
    packaged = packaged_strategies()
    path = packaged.get(settings.config) or Path(settings.config)
    if not path.is_absolute():
        path = desk.home.path / path
    return load_strategy(path, rule_modules=desk.settings.rule_modules)


def production_data(desk: Desk) -> BacktestData:
    """The desk's prices and rates as a backtest wants them: stamps naive, in the desk's time zone.

    Instruments without prices are left out. So is one of which a file is damaged, or that of a rate it needs: it is locked and keeps its
    position. Raises DataError when none is left.
    """
    zone = desk.settings.time_zone
    available = set(desk.store.names("adjusted_prices")) & set(desk.store.names("multiple_prices"))
    instruments = [instrument for instrument in desk.universe if instrument in available]
    if not instruments:
        raise DataError("no adjusted prices are stored; materialize the prices first")
    fx = {code: _local(rates.to_frame(), zone)["rate"] for code, rates in stored_fx(desk).items()}
    damaged_rates = set(desk.store.names("spot_fx")) - fx.keys()
    multiple, adjusted = dict[str, pd.DataFrame](), dict[str, pd.Series]()
    for instrument in instruments:
        if rates_needed(desk, instrument) & damaged_rates:
            continue
        try:
            prices = [_local(desk.store.read(dataset, instrument), zone) for dataset in ("multiple_prices", "adjusted_prices")]
        except DamagedFile as error:
            lock_damaged(desk, instrument, error)
            continue
        multiple[instrument], adjusted[instrument] = prices[0], prices[1]["price"]
    if not multiple:
        raise DataError("the files of all prices or rates are damaged; `tradeflow check` names them and says what to do")
    return BacktestData.from_frames(
        multiple, fx, {instrument: desk.instrument(instrument) for instrument in multiple}, adjusted_prices=adjusted
    )


def _local(frame: pd.DataFrame, zone: str) -> pd.DataFrame:
    index = pd.DatetimeIndex(frame.index).tz_convert(zone).tz_localize(None)
    local = frame.set_axis(index, axis=0)
    # The hour that occurs twice when summer time ends keeps its later row.
    return local[~index.duplicated(keep="last")]


def run_strategy(desk: Desk, strategy: str) -> StrategyRun:
    """Backtest a strategy on the desk's data with its live capital; nothing is stored."""
    backtest = run_backtest(strategy_config(desk, strategy), production_data(desk))
    return StrategyRun(strategy, backtest, backtest.latest())


def save_run(desk: Desk, run: StrategyRun, day: date) -> pd.DataFrame:
    """Store the run of `day`: what explains it (dataset backtests, pruned after the retention of the settings), then its optimal positions
    (dataset optimal_positions, one file a strategy, the same day replaced). Returns the rows of this day, index instrument."""
    time = desk.now()
    save_day(desk.store, run.backtest, run.strategy, day=day, time=time)
    prune(desk.store, run.strategy, day, keep_days=desk.settings.keep_runs_days)
    rows = run.optimal.assign(
        reference_time=_newest_price_times(run).dt.tz_localize(
            desk.settings.time_zone, ambiguous=True, nonexistent="shift_forward"
        ),
        time=pd.Timestamp(time).as_unit("us"),
        day=pd.Timestamp(day).as_unit("us"),
    )
    rows["reference_time"] = rows["reference_time"].dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    store_optimal(desk, run.strategy, rows)
    return rows


def _newest_price_times(run: StrategyRun) -> pd.Series:
    """When the newest price of each instrument was made that the run knew: local times, NaT where there is none."""
    prices = run.backtest.data.adjusted_prices
    times = {instrument: prices[instrument].last_valid_index() for instrument in run.optimal.index}
    return pd.Series(pd.to_datetime(pd.Series(times)), index=run.optimal.index).astype("datetime64[us]")


def store_optimal(desk: Desk, strategy: str, rows: pd.DataFrame) -> None:
    """Store the optimal positions of one day, index instrument, in place of those of the same day."""
    dataset = "optimal_positions"
    old = desk.former_rows(dataset, strategy)
    desk.store.write(dataset, strategy, rows if old is None else pd.concat([old[old["day"] != rows["day"].iloc[0]], rows]))


def latest_optimal(desk: Desk, strategy: str, day: date | None = None) -> pd.DataFrame:
    """The newest stored optimal positions of a strategy, or those of `day`; index instrument."""
    stored = desk.store.read("optimal_positions", strategy)
    return stored[stored["day"] == (stored["day"].max() if day is None else pd.Timestamp(day))]


def run_behind(desk: Desk, strategy: str, optimal: pd.DataFrame) -> SavedRun:
    """The saved run that made these optimal positions. Raises StateError where another run of that day has taken its place."""
    run = open_run(desk.store, strategy, optimal["day"].iloc[0].date())
    if pd.Timestamp(run.manifest.time) != optimal["time"].iloc[0]:
        raise StateError(
            f"the optimal positions of {run.name} are not those of the run that is kept, of {run.manifest.time:%H:%M:%S} UTC; "
            "run the strategy again: materialize the asset optimal_positions"
        )
    return run
