"""A small pysystemtrade data folder, written from nothing: three markets with quarterly rolls, one of them in August 2023.

ALPHA and BETA trade from 09:00 to 17:00 London time, in dollars and in euros; the forward contract of GAMMA has no price but the one that its
roll wrote, in the night, so that nobody can roll a position in it. Trends are strong and
spreads are nothing, so positions are held and fills are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

CODES = ("ALPHA", "BETA", "GAMMA")
START, END = date(2023, 8, 9), date(2023, 8, 18)
"""Eight business days around the roll."""
ROLL = "2023-08-16 23:00:00"
"""The last stamp of the contract 2023-08."""

NIGHT_ROLL = "2023-08-16 23:45:01"
"""The same of GAMMA: the time of what its roll wrote."""

ROLL_DAY = 16
ROLL_MONTHS = (2, 5, 8, 11)
HOURLY_FROM = "2023-06-15"

INSTRUMENTS = """Instrument,Description,Pointsize,Currency,AssetClass,PerBlock,Percentage,PerTrade,Region
ALPHA,"First, of the markets",600,USD,Equity,1,0,0,US
BETA,Second market,2000,EUR,Bond,1,0,0,EMEA
GAMMA,Third market,800,USD,Metals,1,0,0,US
OTHER,Not imported,10,USD,Metals,1,0,0,US
"""
ROLLS = """Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset
ALPHA,GKQX,-5,1,GKQX,21
BETA,GKQX,-5,1,GKQX,21
GAMMA,GKQX,-5,1,GKQX,21
OTHER,GKQX,-5,1,GKQX,21
"""
SPREADS = """Instrument,SpreadCost
ALPHA,0
BETA,0
GAMMA,0
OTHER,1
"""


def write_folder(folder: Path) -> Path:
    """Write the folder and return it."""
    for name in ("csvconfig", "multiple_prices_csv", "adjusted_prices_csv", "fx_prices_csv", "roll_calendars_csv"):
        (folder / name).mkdir(parents=True)
    for name, text in (("instrumentconfig", INSTRUMENTS), ("rollconfig", ROLLS), ("spreadcosts", SPREADS)):
        (folder / "csvconfig" / f"{name}.csv").write_text(text)
    stamps = _stamps()
    for seed, code in enumerate(CODES):
        multiple_prices(stamps, seed, thin=code == "GAMMA").to_csv(
            folder / "multiple_prices_csv" / f"{code}.csv", index_label="DATETIME"
        )
    days = pd.bdate_range("2021-06-01", "2023-08-31") + pd.Timedelta(hours=23)
    rates = pd.Series(np.round(1.1 + 0.02 * np.sin(np.arange(len(days)) / 40), 5), index=days, name="PRICE")
    rates.index = pd.DatetimeIndex([*pd.DatetimeIndex(days[:5]).normalize(), *days[5:]])
    rates.to_csv(folder / "fx_prices_csv" / "EURUSD.csv", index_label="DATETIME", date_format="%Y-%m-%d %H:%M:%S")
    return folder


def keep_closes(folder: Path, code: str, on: str = "") -> None:
    """Leave of an instrument's prices the closes alone, and what its rolls wrote; or of one day `on` of it."""
    _keep(folder, code, lambda line: line[11:13] == "23" or not line.startswith(on))


def drop_day(folder: Path, code: str, day: str) -> None:
    """Leave out all of an instrument's prices of one day."""
    _keep(folder, code, lambda line: not line.startswith(day))


def _keep(folder: Path, code: str, wanted: Callable[[str], bool]) -> None:
    path = folder / "multiple_prices_csv" / f"{code}.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *filter(wanted, lines)]) + "\n")


def _stamps() -> pd.DatetimeIndex:
    days = pd.bdate_range("2021-06-01", "2023-08-31")
    recent = days[days >= pd.Timestamp(HOURLY_FROM)]
    hours = [recent + pd.Timedelta(hours=hour) for hour in range(9, 17)]
    closes = days + pd.Timedelta(hours=23)
    return pd.DatetimeIndex(closes.append(hours).sort_values())


def multiple_prices(stamps: pd.DatetimeIndex, seed: int, *, thin: bool = False) -> pd.DataFrame:
    """Multiple prices of a market that trends: the forward contract is worth a little more than the priced one."""
    random = np.random.default_rng(seed)
    days = np.arange(len(stamps)) / 4
    price = np.round(500 + 0.25 * days * (1 if seed != 1 else -0.6) + random.normal(0, 0.8, len(stamps)).cumsum(), 2)
    quarter = np.searchsorted(_roll_stamps(stamps), stamps, side="left")
    last_row = np.append(np.diff(quarter) > 0, False)
    forward = np.round(price + 2 + 0.5 * seed, 2)
    labels = np.array([year * 10000 + month * 100 for year in (2021, 2022, 2023, 2024) for month in ROLL_MONTHS])[2:]
    frame = pd.DataFrame(index=stamps)
    frame["CARRY"], frame["CARRY_CONTRACT"] = forward, labels[quarter + 1]
    frame["PRICE"], frame["PRICE_CONTRACT"] = price, labels[quarter]
    frame["FORWARD"], frame["FORWARD_CONTRACT"] = forward, labels[quarter + 1]
    if not thin:
        return frame
    written = frame[last_row].set_axis(frame.index[last_row] + pd.Timedelta(minutes=45, seconds=1))
    return pd.concat([frame.assign(CARRY=np.nan, FORWARD=np.nan), written]).sort_index()


def _roll_stamps(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The last close on or before the roll day of each quarter."""
    closes = stamps[stamps.hour == 23]
    rolls = [pd.Timestamp(year, month, ROLL_DAY, 23) for year in (2021, 2022, 2023) for month in ROLL_MONTHS]
    return pd.DatetimeIndex([closes[closes <= roll][-1] for roll in rolls if closes[0] < roll <= closes[-1]])
