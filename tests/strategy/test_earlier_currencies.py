"""An instrument whose prices were in another currency once is converted with the rate of the day's currency."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.strategy.corrections import strategy
from tests.strategy.markets import market, write_csv_folder
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.importers import import_pysystemtrade
from tradeflow_core.instruments import load_instruments
from tradeflow_core.store import Tape
from tradeflow_core.strategy import BacktestData

LAST = date(2010, 12, 31)
CHANGE = pd.Timestamp(2011, 1, 1)


def in_marks_first(currency: str = "EUR") -> BacktestData:
    """Three markets, of which A was in marks until the end of 2010."""
    data = market(currency="EUR")
    marks = data.fx["EURUSD"] / 1.95583
    facts = data.instruments | {"A": replace(data.instruments["A"], currency=currency, earlier_currencies=((LAST, "DEM"),))}
    return BacktestData.from_frames(data.multiple_prices, {**data.fx, "DEMUSD": marks}, facts)


def test_every_day_has_the_rate_of_its_currency() -> None:
    data = in_marks_first()
    rate, marks, euros = data.rate_of("A", "USD"), data.fx["DEMUSD"], data.fx["EURUSD"]
    assert rate is not None and rate.index.is_unique and rate.index.is_monotonic_increasing
    np.testing.assert_array_equal(rate[rate.index < CHANGE], marks[marks.index < CHANGE])
    np.testing.assert_array_equal(rate[rate.index > CHANGE], euros[euros.index > CHANGE])
    assert rate.asof(CHANGE) == euros.asof(CHANGE), "the first day begins with what is known of the euro"


def test_a_change_from_or_to_the_base_currency_has_a_rate_of_one() -> None:
    from_marks = in_marks_first().rate_of("A", "EUR")
    assert from_marks is not None and set(from_marks[from_marks.index >= CHANGE]) == {1.0}
    assert from_marks.iloc[0] == pytest.approx(1 / 1.95583)
    to_dollars = in_marks_first("USD").rate_of("A", "USD")
    assert to_dollars is not None and to_dollars.iloc[-1] == 1.0 and to_dollars.iloc[0] == in_marks_first().fx["DEMUSD"].iloc[0]


def test_positions_follow_the_rate_of_the_day() -> None:
    """Twice as many contracts in marks as in euros are the same risk."""
    ours, others = (
        strategy(data, "fixed").stage("subsystem_position")["A"] for data in (in_marks_first(), market(currency="EUR"))
    )
    ratio = (ours / others).dropna()
    np.testing.assert_allclose(ratio[ratio.index < CHANGE], 1.95583)
    np.testing.assert_allclose(ratio[ratio.index > CHANGE], 1.0)


def test_rates_of_the_earlier_currency_are_needed() -> None:
    data = in_marks_first()
    with pytest.raises(DataError, match=r"no FX rate for currency DEM \(needed by A\)"):
        BacktestData.from_frames(data.multiple_prices, {"EURUSD": data.fx["EURUSD"]}, data.instruments).rate_of("A", "USD")


def test_a_folder_of_prices_may_say_it(tmp_path: Path) -> None:
    """Import and backtest read the column and need the rates; the tape keeps both."""
    folder = write_csv_folder(tmp_path / "data", in_marks_first())
    table = folder / "csvconfig" / "instrumentconfig.csv"
    header, first, *others = table.read_text().splitlines()
    table.write_text(
        "\n".join([f"{header},EarlierCurrencies", f"{first},DEM until {LAST}", *(f"{line}," for line in others)]) + "\n"
    )
    assert BacktestData.from_pysystemtrade(folder).instruments["A"].earlier_currencies == ((LAST, "DEM"),)
    import_pysystemtrade(folder, tmp_path / "tape")
    tape = Tape.open(tmp_path / "tape")
    assert "DEM" in tape.currencies and load_instruments(tape.path / "config")["A"].currencies == ("DEM", "EUR")
    (folder / "fx_prices_csv" / "DEMUSD.csv").unlink()
    with pytest.raises(ConfigError, match=r"DEMUSD.csv missing; add the rates, or leave A out, which was in DEM"):
        import_pysystemtrade(folder, tmp_path / "again")
